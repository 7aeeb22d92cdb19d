"""The layers of Mask R-CNN: in come an image's feature maps, out come proposals, classes, boxes, masks and their losses.

Read `mrcnn.network` first, which puts them together; then in its order `backbone`, `fpn`, `anchors`, `rpn`, `proposals`, `targets`,
`roi_align`, `heads`, `losses`, `detections`.
"""
