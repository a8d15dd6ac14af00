"""One recognizer, one entity, one file; `pattern_recognizers` lists those that need no model, in no order that matters."""

from anonymize.recognizers.base import PatternLayer


def pattern_recognizers(language: str) -> list[PatternLayer]:
    """Build the pattern recognizers of one language."""
    from anonymize.recognizers.address import AddressRecognizer
    from anonymize.recognizers.age import AgeRecognizer
    from anonymize.recognizers.bank_account import BankAccountRecognizer
    from anonymize.recognizers.coordinates import CoordinatesRecognizer
    from anonymize.recognizers.credit_card import CreditCardRecognizer
    from anonymize.recognizers.crypto import CryptoRecognizer
    from anonymize.recognizers.date import DateRecognizer
    from anonymize.recognizers.email import EmailRecognizer
    from anonymize.recognizers.government_id import GovernmentIdRecognizer
    from anonymize.recognizers.hardware import HardwareRecognizer
    from anonymize.recognizers.iban import IbanRecognizer
    from anonymize.recognizers.initials import InitialsRecognizer
    from anonymize.recognizers.ip import IpRecognizer
    from anonymize.recognizers.last_digits import LastDigitsRecognizer
    from anonymize.recognizers.location import LocationRecognizer
    from anonymize.recognizers.organization import OrganizationRecognizer
    from anonymize.recognizers.person import PersonRecognizer
    from anonymize.recognizers.phone import PhoneRecognizer
    from anonymize.recognizers.plate import PlateRecognizer
    from anonymize.recognizers.postcode import PostcodeRecognizer
    from anonymize.recognizers.record_number import RecordNumberRecognizer
    from anonymize.recognizers.url import UrlRecognizer
    from anonymize.recognizers.username import UsernameRecognizer

    any_language: tuple[type[PatternLayer], ...] = (
        AgeRecognizer,
        BankAccountRecognizer,
        CoordinatesRecognizer,
        CreditCardRecognizer,
        CryptoRecognizer,
        DateRecognizer,
        EmailRecognizer,
        GovernmentIdRecognizer,
        HardwareRecognizer,
        IbanRecognizer,
        IpRecognizer,
        LastDigitsRecognizer,
        PhoneRecognizer,
        PlateRecognizer,
        PostcodeRecognizer,
        RecordNumberRecognizer,
        UrlRecognizer,
        UsernameRecognizer,
    )
    # These read English words around a name; in other languages they would see every word as unexplained.
    english: tuple[type[PatternLayer], ...] = (
        AddressRecognizer,
        InitialsRecognizer,
        LocationRecognizer,
        OrganizationRecognizer,
        PersonRecognizer,
    )
    chosen = any_language + english if language == "en" else any_language
    return [recognizer(supported_language=language) for recognizer in chosen]
