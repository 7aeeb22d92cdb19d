-- Every radiograph that arrives goes on to the node; its results are of other modalities, so nothing goes round in circles.
function OnStoredInstance(instance, tags, metadata)
  if tags['Modality'] == 'CR' or tags['Modality'] == 'DX' then
    SendToModality(instance, 'pneumonia')
  end
end
