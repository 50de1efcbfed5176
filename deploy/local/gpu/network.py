"""torchvision's ResNet34 with seeded random weights, plain and with folded batch normalisation."""

import numpy as np
import torch
import torch.nn.functional as F
import torchvision

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def normalised(pixels):
    """Turns bytes `[n, 224, 224, 3]` into the network's input, in f32."""
    return (torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255 - MEAN) / STD


def write_weights(path, pixels):
    """Writes weights whose BatchNorm layers have the statistics of `pixels` and random affine parameters."""
    torch.manual_seed(0)
    model = torchvision.models.resnet34(weights=None)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.6, 1.4)
            torch.nn.init.normal_(module.bias, 0.0, 0.1)
            module.momentum = None
    model.train()
    with torch.no_grad():
        model(normalised(pixels))
    torch.save(model.state_dict(), path)


def load(path, device, kind):
    model = torchvision.models.resnet34(weights=None)
    model.load_state_dict(torch.load(path, weights_only=True))
    model.fc = torch.nn.Identity()
    return model.eval().to(device=device, dtype=kind, memory_format=torch.channels_last)


@torch.inference_mode()
def features(path, pixels, device, kind=torch.float32, batch=64):
    model = load(path, device, kind)
    parts = []
    for at in range(0, len(pixels), batch):
        images = normalised(pixels[at : at + batch]).to(device=device, dtype=kind, memory_format=torch.channels_last)
        parts.append(model(images).float().cpu())
    return torch.cat(parts).numpy()


class Folded:
    """BatchNorm is folded into the convolutions; `fused` adds bias, residual and ReLU to cuDNN's kernel."""

    def __init__(self, model, kind, fused):
        from torch.nn.utils.fusion import fuse_conv_bn_eval

        self.fused = fused
        fold = lambda conv, norm: self.layer(fuse_conv_bn_eval(conv.float(), norm.float()), kind)
        model = model.float()
        self.stem = fold(model.conv1, model.bn1)
        self.blocks = []
        for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
            for block in layer:
                shortcut = fold(*block.downsample) if block.downsample is not None else None
                self.blocks.append((fold(block.conv1, block.bn1), fold(block.conv2, block.bn2), shortcut))

    @staticmethod
    def layer(conv, kind):
        weight = conv.weight.detach().to(dtype=kind, memory_format=torch.channels_last)
        return weight, conv.bias.detach().to(kind), conv.stride, conv.padding

    def relu(self, x, layer):
        weight, bias, stride, padding = layer
        if self.fused:
            return torch.cudnn_convolution_relu(x, weight, bias, stride, padding, (1, 1), 1)
        return F.conv2d(x, weight, bias, stride, padding).relu_()

    def add_relu(self, x, residual, layer):
        weight, bias, stride, padding = layer
        if self.fused:
            return torch.cudnn_convolution_add_relu(x, weight, residual, 1.0, bias, stride, padding, (1, 1), 1)
        return F.conv2d(x, weight, bias, stride, padding).add_(residual).relu_()

    def __call__(self, x):
        x = F.max_pool2d(self.relu(x, self.stem), 3, 2, 1)
        for first, second, shortcut in self.blocks:
            residual = x if shortcut is None else F.conv2d(x, shortcut[0], shortcut[1], shortcut[2], shortcut[3])
            x = self.add_relu(self.relu(x, first), residual, second)
        return x.mean((2, 3), dtype=torch.float32)
