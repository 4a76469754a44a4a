"""The ground floor: files, numbers, processes, paths and checks that every other room uses."""
