"""Small networks that train fast on a processor core: heads on embeddings, splitters, and users' own torch modules.

Torch is imported inside functions, so that what needs none of it loads none of it. Data lie in memory as whole tensors;
global random states, thread counts and modes of modules are left as they were found.
"""
