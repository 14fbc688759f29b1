"""Two parts of a training step that PyTorch computes slowly on CPUs, computed another way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_PLAIN, _OURS = "sdpa", "sdpa_fp32_gradients"
_VALUES = 2**16  # of the random number of 16 bits that an element gets


class Dropout(nn.Dropout):
    """`nn.Dropout` with four random numbers from each draw of 64 bits, where PyTorch draws for each element.

    The draws run on one thread: 6 ms for the hidden states of 32 texts of 56 tokens, and 1 ms here. The rate is rounded
    to a multiple of 2^-16.
    """

    def forward(self, states: Tensor) -> Tensor:
        """States of any shape: some 0, the others divided by the rate of keeping; in evaluation as they came."""
        if not self.training or self.p == 0:
            return states
        dropped = round(self.p * _VALUES)
        draws = torch.empty(states.numel() // 4 + 1, dtype=torch.int64).random_(-(2**63), None)
        numbers = draws.view(torch.int16)[: states.numel()].view(states.shape)
        kept = numbers >= dropped - _VALUES // 2
        return states * kept.to(states.dtype).div_(1 - dropped / _VALUES)


def _attention(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **more: Any) -> Any:
    """Fused attention, computed in fp32 where bf16 has gradients.

    The backward pass of 32 texts of 56 tokens, 12 heads of 32, takes 72 ms in bf16 and 7 in fp32; of 256 tokens 154 and
    75. Without gradients bf16 is the faster.
    """
    if not query.requires_grad or query.dtype != torch.bfloat16:
        return sdpa_attention_forward(module, query, key, value, mask, **more)
    with torch.autocast(query.device.type, enabled=False):
        return sdpa_attention_forward(module, query.float(), key.float(), value.float(), mask, **more)


AttentionInterface.register(_OURS, _attention)
AttentionMaskInterface.register(_OURS, sdpa_mask)


def quicken(model: nn.Module) -> None:
    """Let a model compute these parts so, where it trains on a CPU; its weights and their names stay."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p).train(child.training))
        if isinstance(module, PreTrainedModel) and module.config._attn_implementation == _PLAIN:
            module.set_attn_implementation(_OURS)
