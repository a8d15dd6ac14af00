"""Dates that can be a birthday or place a person on a day; words such as "today" and "Christmas" are not dates here."""

import re

from anonymize.recognizers.base import PatternLayer, Rule

_MONTH = (
    "january|february|march|april|may|june|july|august|september|october|november|december|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|"
    "nov|dec|janvier|février|fevrier|mars|avril|mai|juin|juillet|août|aout|septembre|octobre|novembre|décembre|decembre|enero|febrero|"
    "marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre|januar|februar|märz|maerz|juni|juli|oktober|dezember|"
    "janeiro|fevereiro|março|marco|maio|junho|julho|setembro|outubro|novembro|dezembro|gennaio|febbraio|aprile|maggio|giugno|luglio|"
    "settembre|ottobre|dicembre"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:19|20)\d\d"
_ORDINAL = r"(?:st|nd|rd|th|\.|er|º)?"


class ChatDateRecognizer(PatternLayer):
    """A day with its month, in figures or words, with or without the year; years only after "born in" and the like."""

    ENTITY = "DATE"
    GATE = re.compile(r"\d")
    RULES = (
        Rule(re.compile(rf"(?<![\w/.-]){_YEAR}[-/.](?:0?[1-9]|1[0-2])[-/.]{_DAY}(?:[T ]\d{{1,2}}:\d\d(?::\d\d)?Z?)?(?![\w/-])"), 0.85),
        Rule(re.compile(rf"(?<![\w/.-]){_DAY}([-/.]){_DAY}\1(?:{_YEAR}|\d\d)(?:,? \d{{1,2}}:\d\d(?::\d\d)?)?(?![\w/-])"), 0.8),
        Rule(re.compile(rf"(?<![\w]){_DAY}{_ORDINAL}(?: of| de)? (?:{_MONTH})\b\.?(?:,? (?:de |del )?(?:{_YEAR}|['’]\d\d))?(?!\w)", re.IGNORECASE), 0.8),
        Rule(re.compile(rf"\b(?:{_MONTH})\b\.? {_DAY}(?:st|nd|rd|th)?(?:,? (?:{_YEAR}|['’]\d\d))?(?![\w:%]|\.\d|,\d)(?! (?:mg|times|people|pm|am|days|hours))", re.IGNORECASE), 0.75),
        Rule(re.compile(rf"(?<!\w){_DAY}[-/ ](?:{_MONTH})[-/ ](?:{_YEAR}|\d\d)(?!\w)", re.IGNORECASE), 0.85),
        Rule(re.compile(rf"(?i:\b(?:born|b\.|dob|birthday|birth year|née?)\b\D{{0,15}})(?P<year>{_YEAR})(?![\w-])"), 0.7, "year"),
        Rule(re.compile(rf"(?i:\b(?:dob|date of birth|birthday|born|bday|d\.o\.b\.?)\b(?: is| was| on|:|=|\s){{1,4}})(?P<date>{_DAY}[-/. ]{_DAY}(?:[-/. ]\d{{2,4}})?)(?!\w)"), 0.85, "date"),
        Rule(re.compile(rf"\b(?:{_MONTH})\b,? {_YEAR}(?!\w)", re.IGNORECASE), 0.5),
    )  # fmt: skip
