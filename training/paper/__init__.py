"""Reproduction of the paper's protocols, compared with a leak-free one."""
