"""The method's paper: its protocols reproduced beside the honest one."""
