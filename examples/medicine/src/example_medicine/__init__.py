"""Diagnosis: is a tumour malignant?"""
