"""Writes test/golden/train-bpe/corpora.json: vocabularies that Hugging Face's `tokenizers` learns from small texts.

    python scripts/goldens-bpe.py

Written with tokenizers 0.23.2. Texts of few letters have many ties, pairs that overlap, and tokens that come about in two
ways; the others have every kind of word and white space.
"""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

seed = 5
random.seed(seed)
repository = Path(__file__).parent.parent
prose = (repository / "docs/training.md").read_text(encoding="utf-8")

corpora = [{"texts": [prose], "vocabulary": 1000, "minFrequency": 2, "specialTokens": ["<|endoftext|>"]}]
alphabets = ["ab", "abc", "aab ", "ab \n", "é日本 a", "ab😀 '\"", " \t\n a\u00a0\u0085\ufeff\u200b", "a's 1٣²½ x'll", "ab \r\n\U000e0001"]
for number, alphabet in enumerate(alphabets):
    texts = ["".join(random.choices(alphabet, k=random.randint(0, 120))) for _ in range(3)]
    special = ["<s>", "a"] if number % 2 == 1 else ["<s>"]
    corpora.append({"texts": texts, "vocabulary": 300, "minFrequency": number % 3, "specialTokens": special})

for corpus in corpora:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=corpus["vocabulary"],
        min_frequency=corpus["minFrequency"],
        special_tokens=corpus["specialTokens"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus["texts"], trainer)
    result = json.loads(tokenizer.to_str())
    model = result["model"]
    vocabulary = model.pop("vocab")
    corpus["tokens"] = sorted(vocabulary, key=vocabulary.get)
    corpus["merges"] = model.pop("merges")
    if corpus is corpora[0]:
        corpus["rest"] = result
        corpus["encoded"] = {
            text: tokenizer.encode(text).ids
            for text in ["", " ", "Training a model isn't hard.", "the  é日本\n\n\t😀 x<|endoftext|>y", "a\u0000b\r\n"]
        }

folder = repository / "test/golden/train-bpe"
folder.mkdir(parents=True, exist_ok=True)
with open(folder / "corpora.json", "w", encoding="utf-8") as file:
    json.dump(corpora, file, ensure_ascii=True, separators=(",", ":"))
    file.write("\n")
