"""Records that break parsers, and what has to become of each: code and path of the fault, or None if it is fine.

Where json, orjson, pydantic and msgspec are known to differ there is a case: NaN, 2^64, duplicate names, deep nesting.
"""

from typing import NamedTuple

from tests.features.examples import (
    LOGIN,
    MARKER,
    MINIMAL_PAYMENT,
    PAYMENT,
    TIME_MS,
    encoded,
    payment,
)


class Case(NamedTuple):
    """One record and what has to become of it."""

    name: str
    value: bytes | None
    code: str | None
    path: str = "$"


def raw(field: str, text: str | bytes) -> bytes:
    """A minimal payment in which the value of `field` is `text` as it is, JSON or not."""
    text = text.encode() if isinstance(text, str) else text
    return payment(**{field: "<here>"}).replace(b'"<here>"', text)


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]", inside: bytes = b"") -> bytes:
    """A payment with a field that the contract does not know, nesting `depth` levels with the record itself."""
    return raw("extra", opening * (depth - 1) + inside + closing * (depth - 1))


OVERLONG_SLASH = b"\xc0\xaf"
LONE_CONTINUATION = b"\x80"
ENCODED_SURROGATE = b"\xed\xa0\x80"
BEYOND_UNICODE = b"\xf4\x90\x80\x80"
FAMILY = "👨‍👩‍👧‍👦"

NO_JSON = [
    Case("empty", b"", "not_json"),
    Case("white space", b" \n\t ", "not_json"),
    Case("byte order mark", b"\xef\xbb\xbf" + payment(), "not_json"),
    Case("UTF-16", payment().decode().encode("utf-16-le"), "not_json"),
    Case("UTF-32 with mark", payment().decode().encode("utf-32"), "not_json"),
    Case("latin-1", payment(merchant_id="Café").decode().encode("latin-1"), "not_json"),
    Case("overlong UTF-8", raw("merchant_id", b'"' + OVERLONG_SLASH + b'"'), "not_json"),
    Case("lone continuation byte", raw("merchant_id", b'"' + LONE_CONTINUATION + b'"'), "not_json"),
    Case("surrogate in UTF-8", raw("merchant_id", b'"' + ENCODED_SURROGATE + b'"'), "not_json"),
    Case("beyond Unicode", raw("merchant_id", b'"' + BEYOND_UNICODE + b'"'), "not_json"),
    Case("UTF-8 fault in a field that is ignored", raw("extra", b'"\xff"'), "not_json"),
    Case("UTF-8 fault in a name that is ignored", payment(extra=1).replace(b"extra", b"ex\xffra"), "not_json"),
    Case("lone surrogate escape", raw("merchant_id", '"\\ud800"'), "not_json"),
    Case("short escape", raw("merchant_id", '"\\u12"'), "not_json"),
    Case("escape of nothing", raw("merchant_id", '"\\x41"'), "not_json"),
    Case("raw line end in a string", raw("merchant_id", '"a\nb"'), "not_json"),
    Case("NaN amount", raw("amount_minor", "NaN"), "not_json"),
    Case("Infinity amount", raw("amount_minor", "Infinity"), "not_json"),
    Case("minus Infinity amount", raw("amount_minor", "-Infinity"), "not_json"),
    Case("NaN in a field that is ignored", raw("extra", "NaN"), "not_json"),
    Case("leading zero", raw("amount_minor", "007"), "not_json"),
    Case("plus sign", raw("amount_minor", "+7"), "not_json"),
    Case("hexadecimal", raw("amount_minor", "0x7"), "not_json"),
    Case("comment", payment() + b"// fine", "not_json"),
    Case("second object", payment() + payment(), "not_json"),
    Case("JSON lines", payment() + b"\n" + payment(), "not_json"),
    Case("trailing comma", payment()[:-1] + b",}", "not_json"),
    Case("single quotes", payment().replace(b'"', b"'"), "not_json"),
    Case("names without quotes", b"{type:1}", "not_json"),
    Case("truth as Python writes it", raw("extra", "True"), "not_json"),
    Case("CSV", b"p-1,payment,a-1,1999,EUR", "not_json"),
    Case("gzip", bytes.fromhex("1f8b0800000000000003ab5600000000ffff0300") + b"\0" * 8, "not_json"),
    Case("Confluent wire format", b"\0\0\0\0\x07" + payment(), "not_json"),
    Case("fault of type before a fault of syntax", b'{"type":"payment","amount_minor":"x", nonsense', "not_json"),
    *(Case(f"cut after {cut} bytes", payment()[:cut], "not_json") for cut in range(1, len(payment()))),
]

ROOTS = [
    Case("null", b"null", "wrong_type"),
    Case("true", b"true", "wrong_type"),
    Case("number", b"1", "wrong_type"),
    Case("number of 5000 digits", b"1" * 5000, "wrong_type"),
    Case("string", b'"payment"', "wrong_type"),
    Case("array", b"[" + payment() + b"]", "wrong_type"),
    Case("empty object", b"{}", "missing_field", "$.type"),
    Case("spaces around", b" \r\n" + payment() + b"\t\n", None),
]

SIZES = [
    Case("tombstone", None, "null_value"),
    Case("64 KiB", raw("extra", b'"' + b"x" * (65536 - len(raw("extra", b'""'))) + b'"'), None),
    Case("64 KiB and a byte", raw("extra", b'"' + b"x" * (65537 - len(raw("extra", b'""'))) + b'"'), "too_large"),
    Case("10 MB of one string", raw("merchant_id", b'"' + b"x" * 10_000_000 + b'"'), "too_large"),
    Case("100,000 names", b"{" + b",".join(b'"k%d":0' % n for n in range(100_000)) + b"}", "too_large"),
    Case("5,000 names", payment(**{f"k{n}": 0 for n in range(5_000)}), None),
    Case("256 levels of arrays", nested(256), None),
    Case("257 levels of arrays", nested(257), "too_deep"),
    Case("256 levels of objects", nested(256, b'{"a":', b"}", b"0"), None),
    Case("257 levels of objects", nested(257, b'{"a":', b"}", b"0"), "too_deep"),
    Case("900 levels", nested(900), "too_deep"),
    Case("980 levels", nested(980), "too_deep"),
    Case("30,000 levels", nested(30_000), "too_deep"),
    Case("60,000 levels never closed", raw("extra", b"[" * 60_000), "too_deep"),
    Case("a million levels", raw("extra", b"[" * 1_000_000), "too_large"),
    Case("many brackets side by side", payment(extra=[[] for _ in range(500)]), None),
    Case("many brackets in a string", payment(extra="[{" * 500), None),
    Case("brackets after an escaped quote", payment(extra='"' + "[" * 500 + '\\"'), None),
]

TYPES = [
    Case("type left out", payment(type=...), "missing_field", "$.type"),
    Case("type of another world", payment(type="withdrawal"), "out_of_range", "$.type"),
    Case("type with capitals", payment(type="Payment"), "out_of_range", "$.type"),
    Case("type as a number", payment(type=1), "wrong_type", "$.type"),
    Case("type as a list", payment(type=["payment"]), "wrong_type", "$.type"),
    Case("type comes last", encoded(dict(reversed(MINIMAL_PAYMENT.items()))), None),
    Case("type twice, the same", payment()[:-1] + b',"type":"payment"}', None),
    Case("type twice, another", payment()[:-1] + b',"type":"login"}', "out_of_range", "$.type"),
    Case(
        "amount twice, the last one counts", payment()[:-1] + b',"amount_minor":-1}', "out_of_range", "$.amount_minor"
    ),
    *(Case(f"without {name}", payment(**{name: ...}), "missing_field", f"$.{name}") for name in MINIMAL_PAYMENT),
    *(Case(f"{name} null", payment(**{name: None}), "wrong_type", f"$.{name}") for name in MINIMAL_PAYMENT),
    *(Case(f"{name} an object", payment(**{name: {}}), "wrong_type", f"$.{name}") for name in MINIMAL_PAYMENT),
    Case("optional fields null", payment(merchant_id=None, lat=None, session=None), None),
    Case("login without a result", encoded({k: v for k, v in LOGIN.items() if k != "success"}), None),
    Case("success as 1", encoded(LOGIN | {"success": 1}), "wrong_type", "$.success"),
    Case("success as a word", encoded(LOGIN | {"success": "true"}), "wrong_type", "$.success"),
    Case("session as a list", payment(session=[1]), "wrong_type", "$.session"),
    Case("keys as a fraction", payment(session={"keys": 1.5}), "wrong_type", "$.session.keys"),
    Case("negative keys", payment(session={"keys": -1}), "out_of_range", "$.session.keys"),
    Case("session with more than the contract knows", payment(session={"tempo": "allegro"}), None),
    Case("marker without a value", encoded({**MARKER, "value": ""}), "out_of_range", "$.value"),
    Case("marker of another kind", encoded({**MARKER, "marker": "rates"}), "out_of_range", "$.marker"),
]

AMOUNTS = [
    Case("amount 0", payment(amount_minor=0), None),
    Case("amount minus 0", raw("amount_minor", "-0"), None),
    Case("amount 10^15", payment(amount_minor=10**15), None),
    Case("amount 10^15 + 1", payment(amount_minor=10**15 + 1), "out_of_range", "$.amount_minor"),
    Case("amount -1", payment(amount_minor=-1), "out_of_range", "$.amount_minor"),
    *(
        Case(f"amount {text[:20]} of {len(text)} digits", raw("amount_minor", text), "out_of_range", "$.amount_minor")
        for text in (str(2**53 - 1), str(2**53 + 1), str(2**63 - 1), str(2**63), str(2**64), "1" * 4001, "1" * 5000)
    ),
    *(
        Case(f"amount {text}", raw("amount_minor", text), "wrong_type", "$.amount_minor")
        for text in ("-0.0", "12.0", "19.99", "1e3", "0.30000000000000004", '"1999"', '"19,99"', "true", "[1]")
    ),
    Case("amount 1e308", raw("amount_minor", "1e308"), "wrong_type", "$.amount_minor"),
    Case("amount 1e999", raw("amount_minor", "1e999"), "out_of_range", "$.amount_minor"),
    Case("latitude 1e999", raw("lat", "1e999"), "out_of_range", "$.lat"),
    Case("latitude 90.0000001", payment(lat=90.0000001), "out_of_range", "$.lat"),
    Case("latitude of 17 digits", raw("lat", "13.404953999999999"), None),
    Case("latitude as a string", payment(lat="52.5"), "wrong_type", "$.lat"),
    Case("longitude -180", payment(lon=-180), None),
    Case("longitude -181", payment(lon=-181), "out_of_range", "$.lon"),
    Case("denormal", raw("lat", "5e-324"), None),
    Case("smaller than everything", raw("lat", "1e-400"), None),
]

CURRENCIES = [
    *(Case(f"currency {code}", payment(currency=code), None) for code in ("JPY", "KWD", "CLF", "XAF", "ZWG")),
    *(
        Case(f"currency {code}", payment(currency=code), "currency", "$.currency")
        for code in ("XXX", "XTS", "XAU", "XDR", "eur", "Eur", "US$", "EURO", "€", "", "EU", "840", "ЕUR", "DEM")
    ),
    Case("currency as a number", payment(currency=978), "wrong_type", "$.currency"),
]

IDENTIFIERS = [
    Case("id of 1 character", payment(event_id="x"), None),
    Case("id of 64 characters", payment(event_id="x" * 64), None),
    Case("id of 64 characters in 4 bytes each", payment(event_id="😀" * 64), None),
    Case("empty id", payment(event_id=""), "out_of_range", "$.event_id"),
    Case("id of 65 characters", payment(event_id="x" * 65), "out_of_range", "$.event_id"),
    Case("id of 255 characters", payment(account_id="x" * 255), "out_of_range", "$.account_id"),
    Case("id of 60,000 characters", payment(account_id="x" * 60_000), "out_of_range", "$.account_id"),
    Case("id as a number", payment(account_id=17), "wrong_type", "$.account_id"),
    Case("NUL in an id", payment(event_id="a\0b"), None),
    Case("right to left", payment(merchant_id="مقهى ‮abc"), None),
    Case("Zalgo", payment(merchant_id="Z̸̧̢a̵̛l̷g̶o̴"), None),
    Case("homoglyphs", payment(merchant_id="Раураl"), None),
    Case("family", payment(merchant_id=FAMILY), None),
    Case("markup", payment(merchant_id="<script>alert(1)</script>"), None),
    Case("empty optional id", payment(merchant_id=""), "out_of_range", "$.merchant_id"),
    Case("country in small letters", payment(country="de"), "out_of_range", "$.country"),
    Case("country of 3 letters", payment(country="DEU"), "out_of_range", "$.country"),
    Case("country by name", payment(country="Germany"), "out_of_range", "$.country"),
    Case("user-assigned country", payment(country="XK"), None),
    Case("country of a login", encoded(LOGIN | {"country": "d"}), "out_of_range", "$.country"),
    Case("mcc with a letter", payment(mcc="54l1"), "out_of_range", "$.mcc"),
    Case("mcc as a number", payment(mcc=5411), "wrong_type", "$.mcc"),
    Case("mcc of 3 digits", payment(mcc="541"), "out_of_range", "$.mcc"),
    Case("mcc in Arabic digits", payment(mcc="٥٤١١"), "out_of_range", "$.mcc"),
    Case("mcc with a line end", payment(mcc="5411\n"), "out_of_range", "$.mcc"),
    Case("bin of 5 digits", payment(bin="41111"), "out_of_range", "$.bin"),
    Case("bin of 9 digits", payment(bin="411111111"), "out_of_range", "$.bin"),
    Case("bin in full-width digits", payment(bin="４１１１１１"), "out_of_range", "$.bin"),
    Case("bin with a letter", payment(bin="41111x"), "out_of_range", "$.bin"),
    Case("method of another world", payment(method="cash"), "out_of_range", "$.method"),
    Case("text of 257 characters", payment(ip="x" * 257), "out_of_range", "$.ip"),
]

TIMES = [
    Case("the first millisecond", payment(time_ms=0), None),
    Case("seconds instead of milliseconds", payment(time_ms=TIME_MS // 1000), None),
    Case("before 1970", payment(time_ms=-1), "out_of_range", "$.time_ms"),
    Case("the end of 9999", payment(time_ms=253_402_300_799_999), None),
    Case("the year 10000", payment(time_ms=253_402_300_800_000), "out_of_range", "$.time_ms"),
    Case("microseconds", payment(time_ms=TIME_MS * 1000), "out_of_range", "$.time_ms"),
    Case("ISO 8601 with zone", payment(time_ms="2026-01-01T00:00:00Z"), "wrong_type", "$.time_ms"),
    Case("ISO 8601 without zone", payment(time_ms="2026-01-01T00:00:00"), "wrong_type", "$.time_ms"),
    Case("time with a fraction", raw("time_ms", f"{TIME_MS}.5"), "wrong_type", "$.time_ms"),
]

CARD_NUMBERS = [
    Case("card number", payment(card_id="4111111111111111"), "card_number", "$.card_id"),
    Case("card number with spaces", payment(card_id="5500 0055 5555 5559"), "card_number", "$.card_id"),
    Case("card number with dashes", payment(device_id="3782-822463-10005"), "card_number", "$.device_id"),
    Case("card number in a sentence", payment(email="card 6011000990139424 of Jo"), "card_number", "$.email"),
    Case("IMEI as device", payment(device_id="490154203237518"), "card_number", "$.device_id"),
    Case("almost a card number", payment(card_id="4111111111111112"), None),
    Case("merchant with a long number", payment(merchant_id="4111111111111111"), None),
    Case("account with a long number", payment(account_id="4111111111111111"), None),
    Case("card number of a device that logs in", encoded(LOGIN | {"device_id": "4111111111111111"}), "card_number",
         "$.device_id"),
    Case("SHA-256 as e-mail", payment(email="5" * 63 + "a"), None),
    Case("telephone number", payment(type="application", phone="+49 151 1234 5678 901"), None),
    Case("full payment", encoded(PAYMENT), None),
]  # fmt: skip

CASES = [
    *NO_JSON,
    *ROOTS,
    *SIZES,
    *TYPES,
    *AMOUNTS,
    *CURRENCIES,
    *IDENTIFIERS,
    *TIMES,
    *CARD_NUMBERS,
]
