"""The networks: a frozen teacher and the detectors that stand on it."""

# Backbone -> timm architecture. The resnets mean torchvision's V1 weights, those of the papers: a bare timm name
# would be another training of the same network.
BACKBONES = {
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "resnet18": "resnet18.tv_in1k",
    "resnet50": "resnet50.tv_in1k",
    "wide_resnet50_2": "wide_resnet50_2.tv_in1k",
}
