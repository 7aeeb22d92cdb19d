"""New patients: in come DICOM files from a folder or a PACS, out come findings as tables, pictures and DICOM objects.

Read `reader` first: a file's bytes become a study, an answer, objects. It asks `ensemble`, the models in memory; `admission`
says which images are wanted; `objects` makes the DICOM results. Two bring it studies: `predict` from a folder or a zip, `node`
from a PACS; `long_run` has `predict` go on after a kill, and on a cluster, whose workers do what `remote` says. `inputs` lists
every file of a folder or a zip (`heads` knows DICOM by its first bytes), `outcomes` says what became of each, and `render` shows
the images as the models get them.
"""
