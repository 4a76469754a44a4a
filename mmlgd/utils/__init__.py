"""Files, numbers, processes, paths and checks that all other packages of mmlgd use."""
