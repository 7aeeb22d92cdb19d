"""What is written of a network builds it."""

from pneumonia.models.efficientdet.network import build, describe


def test_description_and_network_agree():
    described = describe(96, "d1", "efficientnet_lite1", False, "batch", 2, (1, 2))
    assert described["scale"] == 2.0
    made = build(described, positive_iou=0.6)
    assert made.network.input.shape == (None, 96, 96, 1)
    assert made.anchors.shape == ((144 + 36 + 9 + 4 + 1) * 6, 4)
    assert made.network.get_layer("bifpn_3_p5_out_conv").filters == 88
    assert made.positive_iou == 0.6
    assert {layer.name.split("_")[1] for layer in made.network.layers if layer.name.startswith("bifpn_")} >= {
        "0",
        "3",
        "in",
    }
