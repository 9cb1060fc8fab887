"""Serves a model file through llama.cpp's own HTTP server until it is ended.

Usage: model_server.py FILE NAME PORT SLOTS CONTEXT_TOKENS
"""

import signal
import sys

import xllamacpp

file, name, port, slots, context_tokens = sys.argv[1:]

params = xllamacpp.CommonParams()
params.model.path = file
params.model_alias = {name}
params.port = int(port)
params.n_parallel = int(slots)
params.n_ctx = int(slots) * int(context_tokens)
params.cpuparams.n_threads = 2
params.cpuparams_batch.n_threads = 2
params.cache_ram_mib = 0
params.ui = False

server = xllamacpp.Server(params)
signal.pause()
