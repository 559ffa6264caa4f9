"""The running average of parameters that samples are drawn from."""

from torch import Tensor


def warm_decay(step: Tensor, decay: float) -> Tensor:
    """Decay of the exponential moving average at step n >= 0: min(decay, (1 + n) / (10 + n)), of the shape of `step`.

    The ramp lets the average forget the initial parameters at once (TensorFlow's
    `ExponentialMovingAverage(num_updates)`); `step` is a tensor so that a compiled step does not depend on the count.
    """
    return ((1 + step) / (10 + step)).clamp(max=decay)
