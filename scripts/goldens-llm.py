"""Golden outputs of language models: tiny random checkpoints of every family, and what transformers makes of them.

    python scripts/goldens-llm.py [folder of real models, or -] [case ...]

Writes test/golden/llm/<case>/: config.json and model.safetensors as `save_pretrained` writes them, and golden.json:
two sequences, their logits, the mean loss of some targets, and what the second is continued with, greedily and by a beam
search of three beams (src/generate), without a token that ends it. Weights are large enough for logits that differ, and
norms and biases are random too. Computed in float32 with eager attention.

test/golden/llm/keys.json has what each family's configuration class knows of. With a folder of real models it also writes
test/golden/llm/real/<model>.json: a few logits and a greedy continuation, of weights that are not committed.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
import transformers
from torch.nn import functional as F

SEED = 6
OUT = Path(__file__).parent.parent / "test" / "golden" / "llm"
VOCABULARY, LAYERS, POSITIONS = 32, 3, 64
LENGTHS = [1, 11]
NEW = 8

common = dict(vocab_size=VOCABULARY, max_position_embeddings=POSITIONS, attn_implementation="eager",
              bos_token_id=1, eos_token_id=2, pad_token_id=0)
modern = dict(**common, num_hidden_layers=LAYERS, hidden_size=16, intermediate_size=24, num_attention_heads=4,
              num_key_value_heads=2, head_dim=8)
no_head_width = {key: value for key, value in modern.items() if key != "head_dim"} | dict(hidden_size=24, num_attention_heads=6)
gpt2 = dict(vocab_size=VOCABULARY, n_positions=POSITIONS, n_embd=24, n_layer=LAYERS, n_head=3, n_inner=40,
            resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, attn_implementation="eager", bos_token_id=1, eos_token_id=2)
neo = dict(**common, hidden_size=24, num_layers=4, num_heads=3, window_size=4, attention_types=[[["global", "local"], 2]])
neox = dict(**common, hidden_size=24, num_hidden_layers=LAYERS, num_attention_heads=3, intermediate_size=40)
llama3 = dict(rope_type="llama3", rope_theta=100.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)

CASES = {
    "gpt2": ("GPT2", gpt2),
    "gpt2-gelu-unscaled": ("GPT2", {**gpt2, "n_inner": None, "n_embd": 16, "n_head": 2, "activation_function": "gelu",
                                    "scale_attn_weights": False, "tie_word_embeddings": False}),
    "gpt-neo": ("GPTNeo", neo),
    "gpt-neox": ("GPTNeoX", {**neox, "rope_parameters": dict(rope_type="default", rope_theta=100.0,
                                                           partial_rotary_factor=0.5)}),
    "gpt-neox-sequential": ("GPTNeoX", {**neox, "use_parallel_residual": False, "tie_word_embeddings": True,
                                        "attention_bias": False, "hidden_act": "gelu_new"}),
    "llama": ("Llama", no_head_width),
    "llama-tied-biases": ("Llama", {**modern, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
    "llama-llama3": ("Llama", {**modern, "rope_parameters": llama3}),
    "llama-linear": ("Llama", {**modern, "rope_parameters": dict(rope_type="linear", rope_theta=1000.0, factor=3.0)}),
    "llama-bfloat16": ("Llama", {**modern, "num_hidden_layers": 2}),
    "llama-float16": ("Llama", {**modern, "num_hidden_layers": 2, "hidden_act": "gelu_pytorch_tanh"}),
    "mistral": ("Mistral", {**modern, "sliding_window": 4}),
    "qwen2": ("Qwen2", {**no_head_width, "tie_word_embeddings": True}),
    "qwen2-windows": ("Qwen2", {**no_head_width, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
    "qwen3": ("Qwen3", {**modern, "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 2}),
    "qwen3-biases": ("Qwen3", {**modern, "attention_bias": True, "tie_word_embeddings": True}),
    "gemma": ("Gemma", modern),
    "gemma2": ("Gemma2", {**modern, "sliding_window": 4, "query_pre_attn_scalar": 20, "attn_logit_softcapping": 3.0,
                          "final_logit_softcapping": 2.0}),
    "gemma3": ("Gemma3Text", {**modern, "num_hidden_layers": 4, "sliding_window": 4, "query_pre_attn_scalar": 12,
                              "layer_types": ["sliding_attention", "full_attention"] * 2,
                              "rope_parameters": {
                                  "full_attention": dict(rope_type="linear", factor=8.0, rope_theta=1000.0),
                                  "sliding_attention": dict(rope_type="default", rope_theta=100.0)}}),
}
CAUSAL = {"GPT2": "GPT2LMHeadModel", "Gemma3Text": "Gemma3ForCausalLM"}
STORED = {"llama-bfloat16": torch.bfloat16, "llama-float16": torch.float16}


def randomise(model):
    """Large enough that attention is not flat, and a tied head small enough that not every token repeats itself."""
    offset = "Gemma" in type(model).__name__
    last = 0.3 if model.config.tie_word_embeddings and not offset else 1
    for name, value in model.named_parameters():
        if value.dim() == 1 and ("norm" in name or "ln_" in name) and name.endswith("weight"):
            scale = (last if name.split(".")[-2] in ("norm", "ln_f", "final_layer_norm") else 1) * (
                1 + 0.3 * torch.randn_like(value))
            value.data = scale - 1 if offset else scale
        elif value.dim() == 1:
            value.data = 0.3 * torch.randn_like(value)
        elif "embed" in name or "wte" in name or "wpe" in name:
            value.data = (0.2 if offset else 0.7) * torch.randn_like(value)
        else:
            inputs = value.shape[0 if "c_" in name and "GPT2" in type(model).__name__ else 1]
            value.data = 1.8 * inputs**-0.5 * torch.randn_like(value)


def numbers(values):
    return [float(f"{value:.7g}") for value in values.flatten().tolist()]


def generate(model, ids, beams):
    settings = transformers.GenerationConfig(max_new_tokens=NEW, do_sample=False, num_beams=beams, pad_token_id=0,
                                             length_penalty=1.0, early_stopping=False)
    settings.eos_token_id = None
    model.generation_config = settings
    out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long))
    return out[0, len(ids):].tolist()


def write_case(name, kind, options):
    """With the first seed whose continuation is no matter of rounding, and of several tokens."""
    for seed in range(SEED, SEED + 100):
        torch.manual_seed(seed)
        config = getattr(transformers, f"{kind}Config")(**options)
        model = getattr(transformers, CAUSAL.get(kind, f"{kind}ForCausalLM"))(config).eval()
        randomise(model)
        for value in model.parameters():
            value.data = value.data.to(STORED.get(name, torch.float32)).float()
        golden, margin = expected(model, seed)
        if margin > 0.01 and len(set(golden["greedy"])) >= 4 and golden["greedy"] != golden["beam"]:
            break
    else:
        raise ValueError(f"{name}: no seed will do")
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.to(STORED.get(name, torch.float32)).save_pretrained(folder)  # rounds what the angles turn by, too: last
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    print(f"{name}: {sum(p.numel() for p in model.parameters())} weights, seed {seed}, margin {margin:.3f}, "
          f"loss {golden['loss']:.3f}, greedy {golden['greedy']}, beam {golden['beam']}")


def expected(model, seed):
    sequences = [torch.randint(3, VOCABULARY, (length,)).tolist() for length in LENGTHS]
    with torch.no_grad():
        logits = torch.cat([model(torch.tensor([ids])).logits[0] for ids in sequences])
        targets = torch.randint(0, VOCABULARY, (sum(LENGTHS),))
        targets[torch.rand(len(targets)) < 0.3] = -100
        loss = F.cross_entropy(logits.double(), targets)
        greedy = generate(model, sequences[1], 1)
        top = model(torch.tensor([sequences[1] + greedy])).logits[0, len(sequences[1]) - 1:-1].topk(2).values
        beam = generate(model, sequences[1], 3)
    golden = dict(transformers=transformers.__version__, torch=torch.__version__, seed=seed, sequences=sequences,
                  logits=numbers(logits), targets=targets.tolist(), loss=loss.item(), greedy=greedy, beam=beam)
    return golden, (top[:, 0] - top[:, 1]).min().item()


def write_real(folder):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("Once upon a time, there was a little girl who")["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
        greedy = generate(model, ids, 1)
    some = list(range(0, logits.shape[1], logits.shape[1] // 12))
    golden = dict(transformers=transformers.__version__, ids=ids, columns=some, logits=numbers(logits[:, some]),
                  largest=logits.abs().max().item(), greedy=greedy, text=tokenizer.decode(greedy))
    (OUT / "real").mkdir(exist_ok=True)
    (OUT / "real" / f"{folder.name}.json").write_text(json.dumps(golden) + "\n")
    print(folder.name, golden["text"])


def main():
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    keys = {}
    for name, (kind, options) in CASES.items():
        if len(sys.argv) < 3 or name in sys.argv[2:]:
            write_case(name, kind, options)
        config = getattr(transformers, f"{kind}Config")()
        keys[config.model_type] = sorted(config.to_dict())
    (OUT / "keys.json").write_text(json.dumps(keys, indent=1) + "\n")
    if len(sys.argv) > 1 and sys.argv[1] != "-":
        for config in sorted(Path(sys.argv[1]).glob("*/config.json")):
            write_real(config.parent)


main()
