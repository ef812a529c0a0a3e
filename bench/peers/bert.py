"""The peer of BenchmarkBERT in embed/text: texts per second of PyTorch on one thread
with a BERT of the same shape and random weights, texts of 128 tokens, 16 a batch.

    bert.py LAYERS HIDDEN HEADS INNER [SECONDS]

Needs torch and transformers. Prints the median over batches, of transformers with its
own choice of attention, in inference mode."""
import sys
import time

import torch
from transformers import BertConfig, BertModel

torch.set_num_threads(1)
layers, hidden, heads, inner = map(int, sys.argv[1:5])
seconds = float(sys.argv[5]) if len(sys.argv) > 5 else 5
model = BertModel(BertConfig(vocab_size=1000, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
                             intermediate_size=inner), add_pooling_layer=False).eval()
ids = torch.randint(0, 1000, (16, 128))
times = []
with torch.inference_mode():
    model(ids)
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        at = time.perf_counter()
        v = model(ids).last_hidden_state.mean(1)
        v = v / v.norm(dim=1, keepdim=True)
        times.append(time.perf_counter() - at)
times.sort()
print(f"torch {torch.__version__}\t{len(ids) / times[len(times) // 2]:.1f} texts/s\t{len(ids) / times[0]:.1f} best")
