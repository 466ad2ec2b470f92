"""The method's paper: its protocols, reproduced and compared with an honest one."""
