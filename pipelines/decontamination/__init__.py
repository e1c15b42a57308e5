"""Decontamination: texts of evaluation sets found in kept documents, and cut out."""
