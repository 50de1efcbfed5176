//! Formats of counts by language: affixes, units, decimal point and group separators.
//!
//! The crawler requests English, but YouTube sometimes responds in another language. Invariant: no two languages
//! share an affix, so each text is parsed in one language only.

/// A language, or one script of it.
pub(super) struct Language {
    /// Decimal point.
    pub(super) decimal: char,
    /// Separators of groups of three digits. Every kind of space is normalised to an ordinary one.
    pub(super) groups: &'static [char],
    /// A unit that is a suffix of another comes after it.
    pub(super) units: &'static [Unit],
    pub(super) views: CountFormat,
    pub(super) subscribers: CountFormat,
}

/// `name` multiplies by `scale`; the number before it is less than `below`.
pub(super) struct Unit {
    pub(super) name: &'static str,
    pub(super) scale: u64,
    pub(super) below: u64,
}

/// The text around a number.
pub(super) struct CountFormat {
    /// Prefix and suffix, the longer ones first.
    pub(super) affixes: &'static [(&'static str, &'static str)],
    /// Texts for zero.
    pub(super) zero: &'static [&'static str],
}

const fn unit(name: &'static str, scale: u64, below: u64) -> Unit {
    Unit { name, scale, below }
}

const THOUSAND: u64 = 1_000;
const TEN_THOUSAND: u64 = 10_000;
const MILLION: u64 = 1_000_000;
const HUNDRED_MILLION: u64 = 100_000_000;
const BILLION: u64 = 1_000_000_000;

pub(super) const LANGUAGES: [Language; 8] =
    [ENGLISH, KOREAN, JAPANESE, CHINESE, TRADITIONAL_CHINESE, GERMAN, FRENCH, URDU];

/// US (`K`, `M`, `B`) and British English (`k`, `m`, `bn`).
const ENGLISH: Language = Language {
    decimal: '.',
    groups: &[','],
    units: &[
        unit("K", THOUSAND, 1_000),
        unit("k", THOUSAND, 1_000),
        unit("M", MILLION, 1_000),
        unit("m", MILLION, 1_000),
        unit("B", BILLION, 1_000),
        unit("bn", BILLION, 1_000),
    ],
    views: CountFormat { affixes: &[("", " views"), ("", " view")], zero: &["No views"] },
    subscribers: CountFormat {
        affixes: &[("", " subscribers"), ("", " subscriber")],
        zero: &["No subscribers"],
    },
};

const KOREAN: Language = Language {
    decimal: '.',
    groups: &[','],
    units: &[
        unit("천", THOUSAND, 10),
        unit("만", TEN_THOUSAND, 10_000),
        unit("억", HUNDRED_MILLION, 10_000),
        unit("조", HUNDRED_MILLION * TEN_THOUSAND, 10_000),
    ],
    views: CountFormat { affixes: &[("조회수 ", "회"), ("", "회")], zero: &["조회수 없음"] },
    subscribers: CountFormat { affixes: &[("구독자 ", "명")], zero: &["구독자 없음"] },
};

const JAPANESE: Language = Language {
    decimal: '.',
    groups: &[','],
    units: &[unit("万", TEN_THOUSAND, 10_000), unit("億", HUNDRED_MILLION, 10_000)],
    views: CountFormat {
        affixes: &[("", "回視聴"), ("視聴回数 ", "回")], zero: &["視聴回数なし"]
    },
    subscribers: CountFormat {
        affixes: &[("チャンネル登録者数 ", "人")], zero: &["チャンネル登録者なし"]
    },
};

const CHINESE: Language = Language {
    decimal: '.',
    groups: &[','],
    units: &[unit("万", TEN_THOUSAND, 10_000), unit("亿", HUNDRED_MILLION, 10_000)],
    views: CountFormat { affixes: &[("", "次观看")], zero: &["无人观看"] },
    subscribers: CountFormat { affixes: &[("", "位订阅者")], zero: &["没有订阅者"] },
};

const TRADITIONAL_CHINESE: Language = Language {
    decimal: '.',
    groups: &[','],
    units: &[unit("萬", TEN_THOUSAND, 10_000), unit("億", HUNDRED_MILLION, 10_000)],
    views: CountFormat {
        affixes: &[("觀看次數：", "次"), ("", "次觀看")], zero: &["沒有人觀看"]
    },
    subscribers: CountFormat {
        affixes: &[("訂閱人數：", "人"), ("", "位訂閱者")], zero: &["沒有訂閱者"]
    },
};

const GERMAN: Language = Language {
    decimal: ',',
    groups: &['.'],
    units: &[unit("Tsd.", THOUSAND, 1_000), unit("Mio.", MILLION, 1_000), unit("Mrd.", BILLION, 1_000)],
    views: CountFormat { affixes: &[("", " Aufrufe"), ("", " Aufruf")], zero: &["Keine Aufrufe"] },
    subscribers: CountFormat {
        affixes: &[("", " Abonnenten"), ("", " Abonnent")],
        zero: &["Keine Abonnenten"],
    },
};

const FRENCH: Language = Language {
    decimal: ',',
    groups: &[' '],
    units: &[unit("k", THOUSAND, 1_000), unit("M", MILLION, 1_000), unit("Md", BILLION, 1_000)],
    views: CountFormat { affixes: &[("", " de vues"), ("", " vues"), ("", " vue")], zero: &["Aucune vue"] },
    subscribers: CountFormat {
        affixes: &[("", " d’abonnés"), ("", " d'abonnés"), ("", " abonnés"), ("", " abonné")],
        zero: &["Aucun abonné"],
    },
};

/// Right to left, with a direction mark at the start; digits as in English.
const URDU: Language = Language {
    decimal: '.',
    groups: &[','],
    units: &[
        unit("K", THOUSAND, 1_000),
        unit("M", MILLION, 1_000),
        unit("B", BILLION, 1_000),
        unit("ہزار", THOUSAND, 100),
        unit("لاکھ", 100 * THOUSAND, 100),
        unit("کروڑ", 10 * MILLION, 100),
        unit("ارب", BILLION, 100),
    ],
    views: CountFormat {
        affixes: &[("", " ملاحظات"), ("", " ملاحظہ")], zero: &["کوئی ملاحظہ نہیں"]
    },
    subscribers: CountFormat {
        affixes: &[("", " سبسکرائبرز"), ("", " سبسکرائبر")],
        zero: &["کوئی سبسکرائبر نہیں"],
    },
};
