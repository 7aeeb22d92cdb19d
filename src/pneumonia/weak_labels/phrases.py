"""The words of `pneumonia.weak_labels.labeller`: what names a finding, and what says that it is not there, may be, or was.

Regular expressions on a sentence in lower case with single blanks. Where two overlap the longer one counts, so that
"no change in" is no negation and "cannot be excluded" no exclusion.
"""

from __future__ import annotations

# Finding -> what names it. What looks like one and is none stands below, in NO_FINDING.
FINDINGS = {
    "Atelectasis": r"atelecta(?:sis|ses|tic)|(?:lobar|lobe|lung|lingular|pulmonary) collapse|collapse of the (?:\w+ )*(?:lobe|lung)",
    "Cardiomegaly": r"cardiomegaly|cardiac enlargement|enlarged (?:heart|cardiac|cardiomediastinal)\b"
    r"|enlargement of the (?:heart|cardiac|cardiomediastinal)"
    r"|(?:heart|cardiac silhouette|cardiomediastinal silhouette|cardiac shadow)(?: size)?"
    r"(?: (?:is|appears|remains|not|size|mildly|moderately|markedly|severely|slightly|again|also|borderline|grossly|to|be))* enlarged",
    "Consolidation": r"consolidat(?:ion|ions|ive|ed)|air[- ]?space (?:disease|opaci(?:ty|ties|fication)s?)|air bronchograms?",
    "Edema": r"(?:pulmonary |interstitial |alveolar )?o?edema|kerley|fluid overload",
    "Effusion": r"(?:pleural )?effusions?|pleural fluid|hydrothorax|hydropneumothorax",
    "Emphysema": r"emphysema(?:tous)?|bullous (?:disease|change|changes)",
    "Fibrosis": r"fibro(?:sis|tic)|honeycombing",
    "Hernia": r"(?:hiatal |hiatus |diaphragmatic )?hernias?",
    "Infiltration": r"infiltrat(?:e|es|ion|ions|ive)|opaci(?:ty|ties)",
    "Mass": r"mass(?:es)?|mass[- ]like(?: opacity| density| lesion)?",
    "Nodule": r"nod(?:ule|ules|ular)(?: opacit(?:y|ies)| densit(?:y|ies))?",
    "Pleural_Thickening": r"(?:pleural|pleuroparenchymal|apical) (?:\w+ )?thickening|thickening of the pleura|thickened pleura",
    "Pneumonia": r"(?:broncho)?pneumonias?|pneumonic|(?:pulmonary|lung|chest|superimposed) infection|infectious process",
    "Pneumothorax": r"(?:hydro)?pneumothora(?:x|ces)|ptx",
}

# Nothing of the lungs, or no finding, though a finding's word stands in it.
NO_FINDING = (
    r"(?:subcutaneous|surgical|soft[- ]tissue|mediastinal) (?:emphysema|o?edema)",
    r"(?:peripheral|leg|ankle|pedal|cerebral|laryngeal) o?edema",
    r"(?:pericardial|joint|knee) effusions?",
    r"(?:inguinal|umbilical|ventral|abdominal|incisional) hernias?",
    r"mass effect|body mass|muscle mass|bone mass",
    r"thyroid nod(?:ule|ules|ular)",
    r"cystic fibrosis",
)

# A sentence that is the negative of several findings at once.
NORMAL = {
    r"(?:\blungs(?: and pleura)?|\blung fields)(?: (?:are|appear|remain|both|otherwise|essentially|grossly|bilaterally"
    r"|well|aerated|expanded|inflated|and))* clear\b(?! of)|\bclear lungs\b": (
        "Atelectasis", "Consolidation", "Edema", "Infiltration", "Mass", "Nodule", "Pneumonia",
    ),
    r"\bno (?:\w+ )?acute (?:cardio-?pulmonary|pulmonary|intrathoracic|cardiothoracic)"
    r" (?:disease|process|abnormality|abnormalities|finding|findings)\b": (
        "Edema", "Pneumonia", "Pneumothorax",
    ),
    r"\b(?:heart|cardiac silhouette|cardiomediastinal silhouette|cardiac size)(?: size| and mediastinum| and mediastinal contours?)?"
    r"(?: (?:is|are|appears|remains|within|in|of|size|stable|and|the|limits))*? normal\b|\bnormal (?:heart|cardiac|cardiomediastinal)\b"
    r"|\b(?:heart|cardiac silhouette|cardiomediastinal silhouette) is unremarkable\b": ("Cardiomegaly",),
    r"\bcostophrenic (?:angles|sulci)(?: (?:are|is|remain|appear|both))* (?:clear|sharp)\b": ("Effusion",),
}  # fmt: skip

_SEEN = r"(?:seen|identified|present|visuali[sz]ed|evident|demonstrated|appreciated|noted|apparent|detected|found|shown|observed|visible)"
_GONE = r"(?:resolved|cleared|disappeared)"
_SURE = r"(?:entirely |completely |definitely |definitively |fully |totally |reliably )*"
_PRIOR = r"(?:prior|previous|last|earlier|comparison)"
_STUDY = r"(?:stud(?:y|ies)|exam\w*|films?|radiographs?|imag\w+|cts?|chest|x-?rays?|comparisons?|reports?|day)"

# What says how a finding stands, by kind (`pneumonia.weak_labels.labeller`).
TRIGGERS = {
    # Looks like one of the others and is none.
    "none": (
        r"\b(?:no|without)(?: (?:significant|interval|appreciable|definite|substantial|major|relevant|other|gross))*"
        r" (?:change|increase|decrease|improvement|worsening|progression|difference)s?(?: (?:in|of|to|from))?\b",
        r"\bnot (?:only|significantly|necessarily|substantially|appreciably)(?: \w+ed)?\b",
        r"\bnot (?:yet |been |completely |fully |entirely )*(?:changed|improved|resolved|cleared|disappeared)\b",
        r"\bnot (?:well|optimally|adequately|fully|completely|entirely|clearly) (?:assessed|evaluated|included|imaged"
        r"|demonstrated|visuali[sz]ed|seen)\b",
        rf"\bnot (?:\w+ )?{_SEEN} (?:on|in|at) (?:the )?{_PRIOR}\b",
        r"\bcannot be (?:\w+ )?(?:assessed|evaluated)\b",
        r"\b(?:partial|near|nearly|almost|incomplete)(?:[- ](?:total|complete))? (?:interval )?(?:resolution|clearing|clearance)(?: of)?\b",
        rf"\b(?:has |have )?(?:partially|partly|nearly|almost|mostly|largely|incompletely)(?: completely)? {_GONE}\b",
        r"\b(?:to|until|ensure|document|confirm|after)(?: (?:complete|full|its))* (?:resolution|clearing|clearance)(?: of)?\b",
    ),
    # Denies what follows.
    "no": (
        r"\bno\b(?!\. ?\d)",
        r"\bno longer\b",
        r"\b(?:without|negative for|free (?:of|from)|clear of|absence of|lack of|devoid of|absent|nor|neither|not|fails to show)\b",
        r"\b(?:complete )?(?:interval )?(?:resolution|clearing|clearance|disappearance) of\b",
        r"n't\b",
    ),
    # Leaves open what follows.
    "maybe": (
        r"\b(?:possibl[ey]|possibility of|probabl[ey]|likely|unlikely|questionable|questioned"
        r"|question of|equivocal|presumed|presumably|borderline)\b",
        r"\b(?:suspected|suspect|suspicious for|suspicion (?:of|for)|suggest(?:s|ed|ing|ive)?(?: of)?"
        r"|concern(?:ing|s)?(?: for)?|worrisome(?: for)?)\b",
        r"\b(?:may|might|could|can|would)(?: \w+)? (?:be|represent|reflect|indicate|relate|have|contain|correspond|include|signify)\b",
        r"\b(?:cannot|can not|can't|could not|does not|do not|unable to|difficult to|not)(?: \w+ly)? (?:exclude|rule out)\b",
        r"\b(?:to )?(?:rule out|exclude)\b|\br/o\b|\bquery\b|\?(?= ?\w)",
        r"\b(?:consider|consideration of|differential(?: diagnosis)?(?: includes?)?|rather than|versus)\b|\bvs\b",
    ),
    # What follows is spoken of, and not as a finding of this image.
    "aside": (
        r"\b(?:history of|h/o|hx of|status post|s/p|risk (?:of|for)|risk factors? for|if|in case of|treat(?:ed|ment) (?:for|of))\b",
        r"\b(?:evaluat\w+|assess\w*|look\w*|check\w*|screen\w*|exam\w*|work[- ]?up|follow[- ]?up|monitor\w*) for\b",
    ),
    # The same for the finding that comes next, no more than two words away.
    "prior": (rf"\b(?:prior|previous|past|remote)\b(?! {_STUDY})",),
    # Denies what came before.
    "was_no": (
        rf"\b(?:(?:is|are|was|were|has been|have been|has|have) )?(?:not|no longer)(?: \w+ly)?(?: been)? {_SEEN}\b",
        rf"\b(?:has|have|had|is|are)(?: (?:since|now|completely|fully|entirely|also|since then|been|again))* {_GONE}\b",
        r"\b(?:is|are|was|were|has been|have been) (?:absent|excluded|ruled out|negative)\b",
        r": ?(?:none|no|nil|absent|negative|not (?:seen|present|identified))(?=$|[,.;])",
    ),
    # Denies what came before, and the finding that comes next, no more than two words away.
    "gone": (rf"\b{_GONE}\b|\bruled out\b",),
    # Leaves open what came before.
    "was_maybe": (
        rf"\b(?:(?:is|are|was|were|has been|have been) )?(?:cannot|can not|can't|could not|not)(?: be| been)?"
        rf" {_SURE}(?:be )?{_SURE}(?:excluded|ruled out)\b",
        r"\b(?:is|are|remains?|also)(?: \w+ly)? (?:possible|suspected|questioned|considered|likely|probable|questionable|unlikely|equivocal"
        r"|suggested|raised|favou?red|an? (?:possibility|consideration|concern))\b",
        r"\b(?:should|could|may|might|must)(?: also)? be (?:considered|present|suspected)\b",
        r"\?$",
    ),
    # Ends the reach of all of them.
    "stop": (
        r"\b(?:but|however|although|though|except(?:ing)?(?: for)?|apart from|aside from|other than|besides|yet|while|whereas)\b",
        r"\bthere (?:is|are|was|were|has|have|remains?)\b|[;:]| [-–—]+ ",
        r"(?:,|\band\b)(?= (?:a|an|the|there|small|moderate|large|mild|stable|unchanged|persistent)\b[^,;]*"
        r"\b(?:is|are|remains?|persists?|has|have)\b(?! not| no))",
    ),
}

# Headings whose text is no finding, and those that end it.
ASIDE_HEADINGS = (
    r"indications?|clinical(?: (?:indications?|history|information|data|details|statement|question|note))?|(?:\w+ )?history"
    r"|reason(?: for (?:the )?(?:exam(?:ination)?|study|test|visit))?|comparisons?|techniques?|procedure|exam(?:ination)?|study|views?"
)
HEADINGS = (
    r"findings?|impressions?|conclusions?|opinion|interpretation|report|summary|assessment|results?|addendum|lungs?(?: and pleura)?"
    r"|heart(?: and mediastinum)?|cardiac|cardiomediastinum|cardiovascular|pleura|mediastinum|bones?(?: and soft tissues)?|soft tissues"
    r"|lines(?: and tubes)?|tubes|chest|recommendations?|other"
)
ABBREVIATIONS = r"(?:vs|dr|mr|mrs|ms|st|approx|e\.g|i\.e|cf|fig|pt|resp|incl|min|max|\b[a-z])"
