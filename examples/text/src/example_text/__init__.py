"""Language identification: in which language is a sentence written?"""
