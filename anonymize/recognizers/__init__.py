"""One recognizer, one entity, one file; `pattern_recognizers` lists those that need no model, in no order that matters."""

from anonymize.recognizers.base import PatternLayer


def pattern_recognizers(language: str) -> list[PatternLayer]:
    """Build the pattern recognizers of one language."""
    from anonymize.recognizers.address import ChatAddressRecognizer
    from anonymize.recognizers.age import ChatAgeRecognizer
    from anonymize.recognizers.bank_account import ChatBankAccountRecognizer
    from anonymize.recognizers.coordinates import ChatCoordinatesRecognizer
    from anonymize.recognizers.credit_card import ChatCreditCardRecognizer
    from anonymize.recognizers.crypto import ChatCryptoRecognizer
    from anonymize.recognizers.date import ChatDateRecognizer
    from anonymize.recognizers.email import ChatEmailRecognizer
    from anonymize.recognizers.government_id import ChatGovernmentIdRecognizer
    from anonymize.recognizers.hardware import ChatHardwareRecognizer
    from anonymize.recognizers.iban import ChatIbanRecognizer
    from anonymize.recognizers.initials import ChatInitialsRecognizer
    from anonymize.recognizers.institution import ChatInstitutionRecognizer
    from anonymize.recognizers.introduced import ChatIntroducedRecognizer
    from anonymize.recognizers.ip import ChatIpRecognizer
    from anonymize.recognizers.last_digits import ChatLastDigitsRecognizer
    from anonymize.recognizers.location import ChatLocationRecognizer
    from anonymize.recognizers.organization import ChatOrganizationRecognizer
    from anonymize.recognizers.person import ChatPersonRecognizer
    from anonymize.recognizers.phone import ChatPhoneRecognizer
    from anonymize.recognizers.plate import ChatPlateRecognizer
    from anonymize.recognizers.postcode import ChatPostcodeRecognizer
    from anonymize.recognizers.record_number import ChatRecordNumberRecognizer
    from anonymize.recognizers.url import ChatUrlRecognizer
    from anonymize.recognizers.username import ChatUsernameRecognizer

    any_language: tuple[type[PatternLayer], ...] = (
        ChatAgeRecognizer,
        ChatBankAccountRecognizer,
        ChatCoordinatesRecognizer,
        ChatCreditCardRecognizer,
        ChatCryptoRecognizer,
        ChatDateRecognizer,
        ChatEmailRecognizer,
        ChatGovernmentIdRecognizer,
        ChatHardwareRecognizer,
        ChatIbanRecognizer,
        ChatIpRecognizer,
        ChatLastDigitsRecognizer,
        ChatPhoneRecognizer,
        ChatPlateRecognizer,
        ChatPostcodeRecognizer,
        ChatRecordNumberRecognizer,
        ChatUrlRecognizer,
        ChatUsernameRecognizer,
    )
    # These read English words around a name; in other languages they would see every word as unexplained.
    english: tuple[type[PatternLayer], ...] = (
        ChatAddressRecognizer,
        ChatInitialsRecognizer,
        ChatLocationRecognizer,
        ChatOrganizationRecognizer,
        ChatPersonRecognizer,
    )
    chosen = any_language + (english if language == "en" else (ChatInstitutionRecognizer, ChatIntroducedRecognizer))
    return [recognizer(supported_language=language) for recognizer in chosen]
