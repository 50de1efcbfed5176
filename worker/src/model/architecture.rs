//! The layers of ResNet34, with the names and shapes of their tensors, as in torchvision's `resnet.py` without the
//! classifier.

use std::collections::BTreeMap;

/// Blocks in each of the four layers of ResNet34 (He et al. 2016, table 1).
const BLOCKS: [usize; 4] = [3, 4, 6, 3];
/// Channels of each layer.
const CHANNELS: [i64; 4] = [64, 128, 256, 512];
/// Added to the variance, as in torchvision.
pub(super) const NORM_EPSILON: f64 = 1e-5;
/// Tensors of a batch normalisation.
pub(super) const NORM: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

/// A convolution and the batch normalisation after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Layer {
    pub(super) conv: String,
    pub(super) norm: String,
    pub(super) inputs: i64,
    pub(super) outputs: i64,
    pub(super) kernel: i64,
    pub(super) stride: i64,
}

impl Layer {
    fn new(conv: String, norm: String, (inputs, outputs): (i64, i64), kernel: i64, stride: i64) -> Self {
        Self { conv, norm, inputs, outputs, kernel, stride }
    }

    pub(super) fn padding(&self) -> i64 {
        self.kernel / 2
    }

    pub(super) fn weight_shape(&self) -> Vec<i64> {
        vec![self.outputs, self.inputs, self.kernel, self.kernel]
    }
}

/// A residual block: two convolutions, and one on the shortcut if the shape changes.
pub(super) struct BlockLayers {
    pub(super) first: Layer,
    pub(super) second: Layer,
    pub(super) shortcut: Option<Layer>,
}

/// The first convolution.
pub(super) fn stem() -> Layer {
    Layer::new("conv1".to_owned(), "bn1".to_owned(), (3, CHANNELS[0]), 7, 2)
}

/// The residual blocks, in order.
pub(super) fn blocks() -> Vec<BlockLayers> {
    let mut blocks = Vec::new();
    let mut inputs = CHANNELS[0];
    for (layer, (count, outputs)) in BLOCKS.into_iter().zip(CHANNELS).enumerate() {
        for at in 0..count {
            let name = format!("layer{}.{at}", layer + 1);
            let stride = if layer > 0 && at == 0 { 2 } else { 1 };
            let conv = |number: u32, channels, stride| {
                Layer::new(format!("{name}.conv{number}"), format!("{name}.bn{number}"), channels, 3, stride)
            };
            let shortcut = (stride != 1 || inputs != outputs).then(|| {
                let (conv, norm) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
                Layer::new(conv, norm, (inputs, outputs), 1, stride)
            });
            let (first, second) = (conv(1, (inputs, outputs), stride), conv(2, (outputs, outputs), 1));
            blocks.push(BlockLayers { first, second, shortcut });
            inputs = outputs;
        }
    }
    blocks
}

/// Every convolution with its normalisation, in order of computation.
pub(super) fn layers() -> Vec<Layer> {
    let mut layers = vec![stem()];
    for block in blocks() {
        layers.extend([block.first, block.second]);
        layers.extend(block.shortcut);
    }
    layers
}

/// The shapes of the backbone's tensors, by torchvision's names.
pub(super) fn tensor_shapes() -> BTreeMap<String, Vec<i64>> {
    let mut shapes = BTreeMap::new();
    for layer in layers() {
        shapes.insert(format!("{}.weight", layer.conv), layer.weight_shape());
        for tensor in NORM {
            shapes.insert(format!("{}.{tensor}", layer.norm), vec![layer.outputs]);
        }
    }
    shapes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backbone_has_torchvisions_tensors() {
        // 36 convolutions, each with four tensors of normalisation.
        assert_eq!(layers().len(), 36);
        assert_eq!(tensor_shapes().len(), 36 * 5);
        assert_eq!(tensor_shapes()["layer2.0.downsample.0.weight"], [128, 64, 1, 1]);
        assert_eq!(tensor_shapes()["layer4.2.bn2.running_var"], [512]);
        let parameters: i64 = tensor_shapes()
            .iter()
            .filter(|(name, _)| !name.contains("running"))
            .map(|(_, shape)| shape.iter().product::<i64>())
            .sum();
        // torchvision's resnet34 has 21,797,672 parameters, of which fc has 513,000.
        assert_eq!(parameters, 21_797_672 - 513_000);
    }
}
