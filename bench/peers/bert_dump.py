"""Writes embed/text/testdata/bert: a BERT of random weights as a folder of
sentence-transformers, and embed/text/testdata/bert.jsonl.gz: what Hugging Face
transformers makes of texts with it.

    python bench/peers/bert_dump.py embed/text/testdata [MINILM]

MINILM is a folder with all-MiniLM-L6-v2; of it, only minilm.jsonl.gz is written, in
the same form.

Needs torch, transformers and safetensors (2.15.0, 5.24.0 and 0.8.0 wrote the
files). Each line has the text, its token ids, the hidden states of every layer
for short texts, and under "pooled", by activation, layer, width and pooling, the
vector of unit length.
"""
import gzip
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, BertTokenizerFast

LAYERS, HIDDEN, LONGEST = 3, 32, 24
WORDS = ("the a of and to in is for search finds text vector fast small file database query shoes red river bank "
         "##s ##ing ##ed ##er").split()
TEXTS = [
    "the",
    "Search finds the text.",
    "a small, FAST vector database!",
    "red shoes for a query",
    "the bank of the river",
    "naïve searching of 42 files?",
    "\u6f22\u5b57 and 😀 words",
    "[MASK] is a file [SEP] vectors",
    " tabs\tand\nlines ",
    "in the database " * 2,
    "the search of a text is a query to a database of files and vectors in the river and to the bank of the red shoes",
    "unbelievablylongwordwithoutspaces" * 4,
]
SENTENCES = [
    "hello world",
    "A program that finds files by name and content, with filters for size, date and owner.",
    "Käse, crème brûlée & 漢字: 3.14 — naïve tokenisation?",
    "The bank of the river was steep; the bank in the town was closed. " * 40,
]
torch.set_num_threads(1)
torch.manual_seed(11)


def digits(t):
    return [float(f"{x:.8g}") for x in t.flatten().tolist()]


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def main(out):
    folder = out / "bert"
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"!,.?0123456789", *letters, *("##" + x for x in letters), *WORDS]
    vocab = list(dict.fromkeys(vocab))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocab) + "\n")
    tok = BertTokenizerFast(vocab={t: i for i, t in enumerate(vocab)}, do_lower_case=True)
    (folder / "tokenizer.json").write_text(tok.backend_tokenizer.to_str())
    shape = dict(vocab_size=len(vocab), hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=4,
                 intermediate_size=64, max_position_embeddings=40, type_vocab_size=2, layer_norm_eps=1e-12)
    model = BertModel(BertConfig(**shape, hidden_act="gelu"), add_pooling_layer=False).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn_like(p) * 0.3 + (1 if name.endswith("LayerNorm.weight") else 0))
    weights = {k: v.contiguous() for k, v in model.state_dict().items() if "position_ids" not in k}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    write(folder / "config.json", {"model_type": "bert", "hidden_act": "gelu", **shape})
    write(folder / "tokenizer_config.json", {"do_lower_case": True, "model_max_length": 40})
    write(folder / "sentence_bert_config.json", {"max_seq_length": LONGEST, "do_lower_case": False})
    write(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + kind}
        for i, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")])])
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": HIDDEN, "pooling_mode_cls_token": False,
                                                 "pooling_mode_mean_tokens": True})
    models = {"gelu": model}
    models["gelu_new"] = BertModel(BertConfig(**shape, hidden_act="gelu_new"), add_pooling_layer=False).eval()
    models["gelu_new"].load_state_dict(model.state_dict())
    with gzip.GzipFile(out / "bert.jsonl.gz", "wb", mtime=0) as f:
        for text in TEXTS:
            f.write((json.dumps(line(models, tok, text, LONGEST, (HIDDEN, 20, 8))) + "\n").encode())


def real(folder, out):
    models, tok = {"gelu": BertModel.from_pretrained(folder).eval()}, BertTokenizerFast.from_pretrained(folder)
    with gzip.GzipFile(out / "minilm.jsonl.gz", "wb", mtime=0) as f:
        for text in SENTENCES:
            r = line(models, tok, text, 256, (384, 64))
            r["pooled"] = {k: r["pooled"][k] for k in ("gelu 6 384 mean", "gelu 4 64 mean", "gelu 6 384 cls")}
            r.pop("hidden", None)
            f.write((json.dumps(r) + "\n").encode())


@torch.no_grad()
def line(models, tok, text, longest, widths):
    ids = tok(text, truncation=True, max_length=longest)["input_ids"]
    r = {"text": text, "ids": ids, "pooled": {}}
    for act, model in models.items():
        hidden = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        if act == "gelu" and len(ids) < 12:
            r["hidden"] = [digits(h) for h in hidden]
        for layer in range(1, len(hidden)):
            for width in widths if act == "gelu" else widths[:1]:
                for pooling, v in (("cls", hidden[layer][0, 0]), ("mean", hidden[layer][0].mean(0))):
                    v = v[:width]
                    r["pooled"][f"{act} {layer} {width} {pooling}"] = digits(v / v.norm())
    return r


main(pathlib.Path(sys.argv[1]))
if len(sys.argv) > 2:
    real(sys.argv[2], pathlib.Path(sys.argv[1]))
