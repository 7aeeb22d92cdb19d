"""The node over HTTP: a page for people, and images by DICOMweb, into the queue that C-STORE fills too.

In: requests, and what the node lends (`desk`). Out: files for the queue; pictures, boxes and states for a browser. Read
`app` first: it lists the addresses.
"""
