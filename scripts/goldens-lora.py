"""Golden adapters: tiny models of transformers with LoRA by PEFT.

    python scripts/goldens-lora.py

Writes test/golden/lora/<model type>/: the base (config.json, model.safetensors), adapters with random values as PEFT saves
them (adapter/), and expected.safetensors: ids and counts of ragged sequences, their logits with the adapters and without.
For Llama also targets, the loss, the gradients of every lora_A and lora_B (gradient.*), and for three steps of AdamW on
that loss the losses and the matrices after them (trained.*).
"""

import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from peft import __version__ as peft_version
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM
from transformers import __version__ as transformers_version

SEED = 11
COUNTS = (7, 4)
VOCABULARY = 29

COMMON = dict(vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2)
MODELS = {
    "llama": (
        dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=24,
             max_position_embeddings=32, tie_word_embeddings=False),
        dict(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"], rank_pattern={"v_proj": 2},
             alpha_pattern={"model.layers.1.mlp.down_proj": 3}),
    ),
    "gpt2": (
        dict(n_embd=16, n_layer=2, n_head=4, n_positions=32, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0),
        dict(r=3, lora_alpha=6, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, use_rslora=True),
    ),
    "gpt_neox": (
        dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24,
             max_position_embeddings=32, rotary_pct=0.5, use_parallel_residual=True),
        dict(r=4, lora_alpha=8, target_modules="all-linear"),
    ),
}


def sequences(ids):
    return [part[None] for part in ids.split(COUNTS)]


def logits_of(model, ids):
    return torch.cat([model(part).logits[0] for part in sequences(ids)])


def randomise(parameters, scale):
    with torch.no_grad():
        for parameter in parameters:
            parameter.normal_(0, scale)


def adapters_of(model):
    return {
        name.replace(".default.weight", ".weight"): parameter
        for name, parameter in model.named_parameters()
        if "lora_" in name
    }


def train(model, ids, targets):
    """Loss, gradients, and three steps."""
    adapters = adapters_of(model)
    expected = {"targets": targets.int()}
    optimizer = torch.optim.AdamW(adapters.values(), lr=1e-2, weight_decay=0.1)
    losses = []
    for step in range(3):
        optimizer.zero_grad()
        loss = F.cross_entropy(logits_of(model, ids), targets, ignore_index=-100)
        loss.backward()
        losses.append(loss.detach())
        if step == 0:
            expected |= {f"gradient.{name}": value.grad.clone() for name, value in adapters.items()}
        optimizer.step()
    return expected | {"losses": torch.stack(losses)} | {f"trained.{n}": v.detach().clone() for n, v in adapters.items()}


def write(kind, folder):
    torch.manual_seed(SEED)
    options, lora = MODELS[kind]
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **COMMON, **options)).eval()
    # Larger than initial weights are, so that logits differ from one another.
    randomise((p for p in model.parameters() if p.dim() > 1), 0.3)
    randomise((p for name, p in model.named_parameters() if name.endswith("bias")), 0.1)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink()

    ids = torch.randint(3, VOCABULARY, (sum(COUNTS),))
    expected = {"ids": ids.int(), "counts": torch.tensor(COUNTS).int(), "base": logits_of(model, ids).detach()}
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **lora)).eval()
    randomise(adapters_of(model).values(), 0.3)
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink()
    expected["logits"] = logits_of(model, ids).detach()
    if kind == "llama":
        targets = torch.where(torch.arange(sum(COUNTS)) % 4 == 1, -100, ids.roll(-1))
        expected |= train(model, ids, targets)
    config = folder / "adapter" / "adapter_config.json"
    adapter = json.loads(config.read_text())
    adapter["base_model_name_or_path"] = None
    adapter["target_modules"] = sorted(adapter["target_modules"])
    config.write_text(json.dumps(adapter, indent=2) + "\n")
    metadata = {"peft": peft_version, "transformers": transformers_version, "torch": torch.__version__, "seed": str(SEED)}
    save_file({name: value.contiguous() for name, value in expected.items()}, folder / "expected.safetensors", metadata)


if __name__ == "__main__":
    golden = Path(__file__).parent.parent / "test/golden/lora"
    for kind in MODELS:
        write(kind, golden / kind)
