"""What a report says, worked out by hand: a plus is there, a minus is not there, a question mark may be."""

import pytest

from pneumonia.weak_labels.labeller import label, sentences
from pneumonia.weak_labels.phrases import FINDINGS

LUNGS_CLEAR = "-Atelectasis -Consolidation -Edema -Infiltration -Mass -Nodule -Pneumonia"
SENTENCES = {
    # there
    "There is a right lower lobe consolidation.": "+Consolidation",
    "Patchy opacities in both bases.": "+Infiltration",
    "Small bilateral pleural effusions, unchanged.": "+Effusion",
    "Moderate cardiomegaly with mild pulmonary edema.": "+Cardiomegaly +Edema",
    "The cardiac silhouette is mildly enlarged.": "+Cardiomegaly",
    "Enlarged heart.": "+Cardiomegaly",
    "Linear atelectasis at the left base.": "+Atelectasis",
    "Collapse of the right upper lobe.": "+Atelectasis",
    "Tiny apical pneumothorax.": "+Pneumothorax",
    "Left hydropneumothorax.": "+Effusion +Pneumothorax",
    "Emphysematous change and biapical pleural thickening.": "+Emphysema +Pleural_Thickening",
    "Fibrotic bands in the left apex; large hiatal hernia.": "+Fibrosis +Hernia",
    "A 3 cm mass and several nodules.": "+Mass +Nodule",
    "Nodular opacity in the right mid lung.": "+Nodule",
    "Findings consistent with bronchopneumonia.": "+Pneumonia",
    "RIGHT BASILAR AIRSPACE DISEASE.": "+Consolidation",
    "Resolving left lower lobe pneumonia.": "+Pneumonia",
    "Alveolar oedema.": "+Edema",
    # denied by what comes before
    "No evidence of pneumonia.": "-Pneumonia",
    "No pneumothorax.": "-Pneumothorax",
    "Without focal opacity or effusion.": "-Infiltration -Effusion",
    "No focal consolidation, pleural effusion, or pneumothorax.": "-Consolidation -Effusion -Pneumothorax",
    "Negative for infiltrate.": "-Infiltration",
    "The lungs are free of consolidation or mass.": "-Consolidation -Mass",
    "Absence of pleural thickening.": "-Pleural_Thickening",
    "The study does not show an effusion.": "-Effusion",
    "There isn't an effusion.": "-Effusion",
    "Neither effusion nor pneumothorax.": "-Effusion -Pneumothorax",
    "No focal consolidation to suggest pneumonia.": "-Consolidation -Pneumonia",
    "No opacity suspicious for pneumonia.": "-Infiltration -Pneumonia",
    "Interval resolution of the left effusion.": "-Effusion",
    "Resolved pneumonia.": "-Pneumonia",
    "The heart is not enlarged.": "-Cardiomegaly",
    # denied by what comes after
    "Pneumonia has cleared.": "-Pneumonia",
    "The right effusion has completely resolved.": "-Effusion",
    "Previously seen infiltrate is no longer visible.": "-Infiltration",
    "Consolidation or effusion is not seen.": "-Consolidation -Effusion",
    "Pneumothorax is not identified.": "-Pneumothorax",
    "Pneumonia was ruled out.": "-Pneumonia",
    "Effusions are absent.": "-Effusion",
    "Pleural effusion: none.": "-Effusion",
    "Pneumothorax: No": "-Pneumothorax",
    # normal
    "The lungs are clear.": LUNGS_CLEAR,
    "Lungs are well expanded and clear.": LUNGS_CLEAR,
    "Heart size is normal.": "-Cardiomegaly",
    "Heart size within normal limits.": "-Cardiomegaly",
    "The cardiomediastinal silhouette is normal.": "-Cardiomegaly",
    "No acute cardiopulmonary process.": "-Edema -Pneumonia -Pneumothorax",
    "The costophrenic angles are sharp.": "-Effusion",
    "The right lung is clear.": "",
    # uncertain
    "Cannot exclude consolidation.": "?Consolidation",
    "Possible early pneumonia.": "?Pneumonia",
    "Opacity which may represent atelectasis or pneumonia.": "+Infiltration ?Atelectasis ?Pneumonia",
    "Consolidation, suspicious for pneumonia.": "+Consolidation ?Pneumonia",
    "Pneumonia cannot be excluded.": "?Pneumonia",
    "A small effusion is not entirely excluded.": "?Effusion",
    "Pneumonia is not excluded.": "?Pneumonia",
    "Pneumonia is possible.": "?Pneumonia",
    "Pneumonia should be considered.": "?Pneumonia",
    "Atelectasis versus pneumonia at the left base.": "?Atelectasis ?Pneumonia",
    "Left basilar atelectasis or infiltrate.": "?Atelectasis ?Infiltration",
    "? pneumonia": "?Pneumonia",
    "Pneumonia?": "?Pneumonia",
    "Rule out pneumonia.": "?Pneumonia",
    "Borderline cardiomegaly.": "?Cardiomegaly",
    "Probable small pneumothorax.": "?Pneumothorax",
    "Pneumonia is unlikely.": "?Pneumonia",
    # scope
    "No effusion but a small pneumothorax.": "-Effusion +Pneumothorax",
    "No effusion; left base atelectasis.": "-Effusion +Atelectasis",
    "No pneumothorax, however there is consolidation.": "-Pneumothorax +Consolidation",
    "No abnormality except for a small nodule.": "+Nodule",
    "No pneumothorax and a small effusion is present.": "-Pneumothorax +Effusion",
    "No effusion, possible pneumonia.": "-Effusion ?Pneumonia",
    "Small effusion without pneumothorax.": "+Effusion -Pneumothorax",
    "Consolidation with no evidence of effusion, cannot exclude mass.": "+Consolidation -Effusion ?Mass",
    "Effusion has increased and pneumonia has resolved.": "+Effusion -Pneumonia",
    "No pneumonia. Small effusion.": "-Pneumonia +Effusion",
    "No pneumonia.Small effusion.": "-Pneumonia +Effusion",
    "No pneumothorax. Effusion persists, no longer loculated.": "-Pneumothorax +Effusion",
    # looks like a negation and is none
    "No change in the right effusion.": "+Effusion",
    "No significant interval change of pneumonia.": "+Pneumonia",
    "Effusion is not significantly changed.": "+Effusion",
    "New opacity, not seen on the prior study.": "+Infiltration",
    "Pneumonia has not cleared.": "+Pneumonia",
    "Partial resolution of consolidation.": "+Consolidation",
    "Effusion has nearly completely resolved.": "+Effusion",
    "Pneumonia, follow up to resolution.": "+Pneumonia",
    "Not only effusion, also atelectasis.": "+Effusion +Atelectasis",
    # of another time, or not of this image
    "History of pneumonia.": "",
    "Prior right pneumonia.": "",
    "Status post pneumothorax.": "",
    "Evaluate for pneumonia.": "",
    "Compared with the previous study effusion is larger.": "+Effusion",
    "No history of pneumonia, small nodule.": "",  # the reach of "history of" goes on: nothing rather than wrong
    # no finding
    "Subcutaneous emphysema.": "",
    "Pericardial effusion.": "",
    "Mass effect on the trachea.": "",
    "Thyroid nodule.": "",
}  # fmt: skip
STATES = {"+": 1.0, "-": 0.0, "?": -1.0}


def expected(text: str) -> dict[str, float]:
    return {word[1:]: STATES[word[0]] for word in text.split()}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_worked_out_by_hand(sentence: str):
    assert label(sentence) == expected(SENTENCES[sentence])


@pytest.mark.parametrize("sentence", SENTENCES)
def test_case_and_line_breaks_change_nothing(sentence: str):
    wanted = expected(SENTENCES[sentence])
    assert label(sentence.lower()) == wanted or ".small" in sentence.lower()
    assert label(sentence.replace(" ", "\n")) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("INDICATION: Pneumonia. FINDINGS: No effusion.", "-Effusion"),
        ("HISTORY: Prior mass, pneumonia\nCOMPARISON: none\n\nIMPRESSION:\nSmall nodule", "+Nodule"),
        ("CLINICAL INFORMATION: pneumonia?\nREPORT: clear lungs", LUNGS_CLEAR),
        ("Reason for exam: rule out pneumothorax\nFindings: pneumothorax is not seen", "-Pneumothorax"),
        ("EXAMINATION: chest\nIMPRESSION\n1. No pneumonia.\n2. Left effusion.", "-Pneumonia +Effusion"),
        ("FINDINGS: Possible consolidation.\nIMPRESSION: Consolidation.", "+Consolidation"),
        ("FINDINGS: No pneumonia.\nIMPRESSION: Cannot exclude pneumonia.", "?Pneumonia"),
        ("Indication: cough\n\nSmall effusion.", ""),  # a section ends at a heading: nothing rather than wrong
        ("Lungs: no consolidation. Pleura: small effusion.", "-Consolidation +Effusion"),
        ("- no pneumothorax\n- effusion", "-Pneumothorax +Effusion"),
        ("", ""),
    ],
)
def test_a_report_worked_out_by_hand(text: str, wanted: str):
    assert label(text) == expected(wanted)


def test_sentences_end_where_a_person_would_end_them():
    text = "Seen by Dr. Who. A 1.5 cm nodule vs. nipple. No. 2 tube ends\nabove.\n\nclear lungs\n1. Mass\n2) Effusion"
    assert sentences(text) == [
        "seen by dr. who", "a 1.5 cm nodule vs. nipple", "no. 2 tube ends above", "clear lungs", "mass", "effusion",
    ]  # fmt: skip


def test_the_findings_are_those_of_the_nih():
    assert list(FINDINGS) == [
        "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia", "Infiltration",
        "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
    ]  # fmt: skip
