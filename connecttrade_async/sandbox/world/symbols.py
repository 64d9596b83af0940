"""The world's symbols: which stocks and options there are, and how each is spelled (documented).

A few hundred roots are listed (``roots.py``), and with each all that is spelled with it: preferred shares, classes and
options. An order in anything else, ``AAPLL`` or ``APPL``, is rejected as one in a symbol that is not listed. No root
that begins with ``ZZ`` will ever be listed, so that a test can have one that is not.
"""

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

__all__ = [
    "LISTINGS",
    "PAIRS",
    "ROOTS",
    "Listing",
    "Option",
    "instrument_of",
    "is_crypto",
    "is_listed",
    "is_option",
    "is_stock",
    "multiplier",
    "option_symbol",
    "parse_option",
    "price_step",
    "root_of",
]

_LARGE = """
    A AAPL ABBV ABNB ABT ACGL ACN ADBE ADI ADM ADP ADSK AEE AEP AES AFL AIG AIZ AJG AKAM ALB ALGN ALL ALLE AMAT AMCR
    AMD AME AMGN AMP AMT AMZN ANET AON AOS APA APD APH APO APTV ARE ATO AVB AVGO AVY AWK AXON AXP AZO B BA BAC BALL
    BAX BBY BDX BEN BF BG BIIB BK BKNG BKR BLDR BLK BMY BR BRK BRO BSX BX BXP C CAG CAH CARR CAT CB CBOE CBRE CCI CCL
    CDNS CDW CEG CF CFG CHD CHRW CHTR CI CINF CL CLX CMCSA CME CMG CMI CMS CNC CNP COF COIN COO COP COR COST CPAY CPB
    CPRT CPT CRL CRM CRWD CSCO CSGP CSX CTAS CTRA CTSH CTVA CVS CVX D DAL DASH DAY DD DE DECK DELL DG DGX DHI DHR DIS
    DLR DLTR DOC DOV DOW DPZ DRI DTE DUK DVA DVN DXCM EA EBAY ECL ED EFX EG EIX EL ELV EMN EMR ENPH EOG EPAM EQIX EQR
    EQT ERIE ES ESS ETN ETR EVRG EW EXC EXE EXPD EXPE EXR F FANG FAST FCX FDS FDX FE FFIV FI FICO FIS FITB FOX FOXA
    FRT FSLR FTNT FTV GD GDDY GE GEHC GEN GEV GILD GIS GL GLW GM GNRC GOOG GOOGL GPC GPN GRMN GS GWW HAL HAS HBAN HCA
    HD HIG HII HLT HOLX HON HPE HPQ HRL HSIC HST HSY HUBB HUM HWM IBM ICE IDXX IEX IFF INCY INTC INTU INVH IP IPG IQV
    IR IRM ISRG IT ITW IVZ J JBHT JBL JCI JKHY JNJ JPM K KDP KEY KEYS KHC KIM KKR KLAC KMB KMI KMX KO KR KVUE L LDOS
    LEN LH LHX LII LIN LKQ LLY LMT LNT LOW LRCX LULU LUV LVS LW LYB LYV MA MAA MAR MAS MCD MCHP MCK MCO MDLZ MDT MET
    META MGM MHK MKC MKTX MLM MMC MMM MNST MO MOH MOS MPC MPWR MRK MRNA MS MSCI MSFT MSI MTB MTCH MTD MU NCLH NDAQ
    NDSN NEE NEM NFLX NI NKE NOC NOW NRG NSC NTAP NTRS NUE NVDA NVR NWS NWSA NXPI O ODFL OKE OMC ON ORCL ORLY OTIS OXY
    PANW PARA PAYC PAYX PCAR PCG PEG PEP PFE PFG PG PGR PH PHM PKG PLD PLTR PM PNC PNR PNW PODD POOL PPG PPL PRU PSA
    PSX PTC PWR PYPL QCOM RCL REG REGN RF RJF RL RMD ROK ROL ROP ROST RSG RTX RVTY SBAC SBUX SCHW SHW SJM SLB SMCI SNA
    SNPS SO SOLV SPG SPGI SRE STE STLD STT STX STZ SW SWK SWKS SYF SYK SYY T TAP TDG TDY TECH TEL TER TFC TGT TJX TKO
    TMO TMUS TPL TPR TRGP TRMB TROW TRV TSCO TSLA TSN TT TTD TTWO TXN TXT TYL UAL UBER UDR UHS ULTA UNH UNP UPS URI
    USB V VICI VLO VLTO VMC VRSK VRSN VRTX VST VTR VTRS VZ WAB WAT WBD WDAY WDC WEC WELL WFC WM WMB WMT WRB WSM WST
    WTW WY WYNN XEL XOM XYL XYZ YUM ZBH ZBRA ZTS
"""
_OTHERS = """
    AA AAL AFRM AI ALLY AMC APP ARM ASML ASTS BABA BB BBAI BIDU BILI BNTX BP BTI BYND CAVA CHPT CHWY CLF CLSK CPNG
    CRSP CVNA CZR DDOG DKNG DOCU DUOL ENB ET ETSY FSLY FUBO FUTU GME GOLD GRAB GSK HIMS HOOD HSBC HUT INFY IONQ JBLU
    JD JOBY LCID LI LMND LYFT MARA MDB MELI MSTR MTDR NET NIO NOK NTES NU NVAX NVO OKLO OKTA ONON OPEN PATH PBR PDD
    PENN PINS PLUG PTON QBTS QS RBLX RDDT RIG RIO RIOT RIVN RKLB ROKU RUN SAP SE SEDG SHEL SHOP SIRI SNAP SNOW SOFI
    SONY SOUN SPCE SPOT SQ TAL TEAM TEVA TLRY TM TOST TSM TWLO U UEC UL UPST UWMC VALE W WBA WOLF XP XPEV Z ZG ZIM ZM
    ZS
"""
_FUNDS = """
    AGG ARKG ARKK BIL BITO BND DIA DVY EEM EFA EWJ EWZ FXI GDX GDXJ GLD HYG IAU IBIT IEF IEMG IJH IJR IVV IWD IWF IWM
    JEPI JEPQ JETS KRE KWEB LQD MCHI MDY MUB NDX QQQ QQQM QYLD RSP RUT SCHB SCHD SCHG SCHX SGOV SHV SHY SLV SMH SOXL
    SOXS SOXX SPLG SPX SPXL SPXS SPXU SPXW SPY SQQQ TAN TIP TLT TNA TQQQ TZA UNG UPRO USO UVXY VB VEA VEU VGK VGT VIG
    VIX VIXW VNQ VO VOO VT VTI VTV VUG VWO VXUS VXX VYM XBI XHB XLB XLC XLE XLF XLI XLK XLP XLRE XLU XLV XLY XME XOP
    XRT XSP
"""

ROOTS = frozenset(f"{_LARGE} {_OTHERS} {_FUNDS}".split())
"""Large American companies, others that people trade a lot, and funds and indices with options of their own."""


_OSI = re.compile(r"([A-Z]{1,6})(\d{2})(\d{2})(\d{2})([CP])(\d{8})", re.ASCII)
_CQS = re.compile(r"([A-Z]{1,6})(?:p[A-Z]?|r|w|/[A-Z]{1,3}){0,3}", re.ASCII)


class Listing(NamedTuple):
    """A stock that the sandbox's brokers hold. `kind` is the CQS kind; `price` its middle in dollars."""

    symbol: str
    kind: str
    price: str
    dividend: str = "0"


LISTINGS = (
    Listing("AAPL", "common", "228.40", "0.26"),
    Listing("MSFT", "common", "412.75", "0.83"),
    Listing("NVDA", "common", "134.10", "0.01"),
    Listing("KO", "common", "63.85", "0.51"),
    Listing("F", "common", "10.92", "0.15"),
    Listing("SPY", "common", "571.30", "1.75"),
    Listing("IBMp", "preferred", "24.15", "0.37"),
    Listing("IBMpA", "preferred series", "25.40", "0.39"),
    Listing("IBM/B", "class", "181.60", "1.67"),
    Listing("IBMr", "rights", "1.35"),
    Listing("IBM/WS", "warrants", "12.80"),
    Listing("IBMw", "when-issued", "178.05"),
)
"""One stock at least of every CQS kind of the wire contract."""


PAIRS = {
    "BTC/USD": "64250.123456789",
    "ETH/USD": "3120.5",
    "SOL/USD": "148.75",
    "LTC/USD": "71.42",
    "DOGE/USD": "0.123456",
    "SHIB/USD": "0.000017432",
}
"""Cryptocurrency pairs and their middle in dollars. The spelling with a slash is assumed."""

_CENT = Decimal("0.01")
_NINE = Decimal("0.000000001")
"""The finest price of cryptocurrency (documented)."""


class Option(NamedTuple):
    """What an OCC OSI symbol says. `strike` is in dollars, `right` is ``C`` or ``P``."""

    root: str
    expiry: date
    right: str
    strike: Decimal


@lru_cache(maxsize=4096)
def parse_option(symbol: str) -> Option | None:
    """Read an OSI symbol without padding (documented), or answer None if it is no option's symbol."""
    match = _OSI.fullmatch(symbol)
    if match is None:
        return None
    root, year, month, day, right, strike = match.groups()
    try:
        expiry = date(2000 + int(year), int(month), int(day))
    except ValueError:
        return None
    return Option(root, expiry, right, Decimal(strike) / 1000)


def option_symbol(option: Option) -> str:
    """Write an option as its OSI symbol: root, YYMMDD, C or P, and eight digits of strike x 1000."""
    return f"{option.root}{option.expiry:%y%m%d}{option.right}{int(option.strike * 1000):08d}"


def is_option(symbol: str) -> bool:
    """Whether the symbol is an option's."""
    return parse_option(symbol) is not None


def is_crypto(symbol: str) -> bool:
    """Return whether the symbol is a cryptocurrency pair that the sandbox trades."""
    return symbol in PAIRS


def is_stock(symbol: str) -> bool:
    """Whether the symbol is spelled as a stock's, with the CQS endings for its kind."""
    return not is_crypto(symbol) and _CQS.fullmatch(symbol) is not None


def instrument_of(symbol: str) -> str:
    """Return ``OPT``, ``CRYPTO`` (assumed) or ``STK``."""
    return "OPT" if is_option(symbol) else "CRYPTO" if is_crypto(symbol) else "STK"


def price_step(symbol: str) -> Decimal:
    """Return the finest step of a symbol's price, in dollars."""
    return _NINE if is_crypto(symbol) else _CENT


def is_listed(symbol: str) -> bool:
    """Whether an exchange knows a well-formed symbol, which it does if it knows its root."""
    match = _OSI.fullmatch(symbol) or _CQS.fullmatch(symbol)
    return is_crypto(symbol) or (match is not None and match[1] in ROOTS)


def root_of(symbol: str) -> str:
    """Return the symbol that moves this symbol's price: an option's root, a stock itself."""
    option = parse_option(symbol)
    return symbol if option is None else option.root


def multiplier(symbol: str) -> int:
    """How many units one contract or share stands for: 100 for an option, 1 for a stock."""
    return 100 if is_option(symbol) else 1
