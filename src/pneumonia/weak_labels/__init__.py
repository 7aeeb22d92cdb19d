"""Other people's radiographs, labelled by machine from reports: in come their files as published, out come squares and findings.

Read `labels` first, then `nih`; `labeller` turns the text of a report into findings, `persons` keeps who is evaluated out.
"""
