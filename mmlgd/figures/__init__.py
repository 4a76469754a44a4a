"""Figures: maps of embeddings, banks, nearest names, similar names. Import each module where it is used."""
