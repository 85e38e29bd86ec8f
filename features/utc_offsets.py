"""Standard UTC offset of each country's capital or largest zone, in minutes: enough to tell day from night.

From the IANA time zone database, 2025 rules, without daylight saving time. A country with several zones is
represented by one of them, so an hour derived from a country is a hint; longitude, where known, is used first.
"""

import numpy as np
from numpy.typing import NDArray

from features.columns import country_code

NO_OFFSET = -32_768
"""Entry of `UTC_OFFSET_MINUTES` where no offset is listed."""

_COUNTRIES_BY_MINUTES: dict[int, str] = {
    -660: "AS NU",
    -600: "CK PF",
    -480: "PN",
    -360: "BZ CR GT HN MX NI SV",
    -300: "BS CA CO CU EC HT JM KY PA PE TC US",
    -240: "AG AI AW BB BL BM BO BQ CL CW DM DO GD GP GY KN LC MF MQ MS PR SX TT VC VE VG VI",
    -180: "AR BR FK GF PM PY SR UY",
    -120: "GL GS",
    -60: "CV",
    0: "BF CI FO GB GG GH GM GN GW IM IS JE LR ML MR PT SH SL SN ST TG",
    60: (
        "AD AL AO AT BA BE BJ CD CF CG CH CM CZ DE DK DZ EH ES FR GA GI GQ HR HU IE IT LI LU MA MC ME MK MT NE "
        "NG NL NO PL RS SE SI SJ SK SM TD TN VA"
    ),
    120: "AX BG BI BW CY EE EG FI GR IL LB LS LT LV LY MD MW MZ NA PS RO RW SD SS SZ UA ZA ZM ZW",
    180: "BH BY DJ ER ET IQ JO KE KM KW MG QA RU SA SO SY TR TZ UG YE YT",
    210: "IR",
    240: "AE AM AZ GE MU OM RE SC",
    270: "AF",
    300: "KZ MV PK TF TJ TM UZ",
    330: "IN LK",
    345: "NP",
    360: "BD BT IO KG",
    390: "CC MM",
    420: "CX ID KH LA TH VN",
    480: "BN CN HK MN MO MY PH SG TW",
    540: "JP KP KR PW TL",
    600: "AU GU MP PG",
    660: "FM NC NF SB VU",
    720: "AQ FJ KI MH NR NZ TV UM WF",
    780: "TK TO WS",
}


def _table() -> NDArray[np.int16]:
    table = np.full(26 * 26 + 1, NO_OFFSET, dtype=np.int16)
    for minutes, countries in _COUNTRIES_BY_MINUTES.items():
        for country in countries.split():
            table[country_code(country)] = minutes
    return table


UTC_OFFSET_MINUTES: NDArray[np.int16] = _table()
"""Indexed by `country_code`; entry 0 (absent) is `NO_OFFSET`."""
