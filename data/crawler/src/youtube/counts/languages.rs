//! How languages write counts: nouns, units, decimal points, and what separates groups of digits.
//!
//! The crawler asks for English; the others are what YouTube answers when it does not listen. Invariant: no
//! noun of one language stands around a number in another, so a text is read by one language only.

/// One language, or one way of writing it.
pub(super) struct Language {
    /// Sign between whole units and decimals.
    pub(super) decimal: char,
    /// Signs that may separate groups of three digits; every kind of space is written as an ordinary one.
    pub(super) groups: &'static [char],
    /// What numbers are abbreviated with; one that ends like another stands before it.
    pub(super) units: &'static [Unit],
    pub(super) views: Noun,
    pub(super) subscribers: Noun,
}

/// `name` stands for `scale`, and the number before it is below `below`.
pub(super) struct Unit {
    pub(super) name: &'static str,
    pub(super) scale: u64,
    pub(super) below: u64,
}

/// What stands around the number.
pub(super) struct Noun {
    /// Texts before and after it, the longer ones first.
    pub(super) around: &'static [(&'static str, &'static str)],
    /// Texts that say that there are none.
    pub(super) none: &'static [&'static str],
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

/// Of the United States (`K`, `M`, `B`) and of Britain (`k`, `m`, `bn`).
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
    views: Noun { around: &[("", " views"), ("", " view")], none: &["No views"] },
    subscribers: Noun { around: &[("", " subscribers"), ("", " subscriber")], none: &["No subscribers"] },
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
    views: Noun { around: &[("조회수 ", "회"), ("", "회")], none: &["조회수 없음"] },
    subscribers: Noun { around: &[("구독자 ", "명")], none: &["구독자 없음"] },
};

const JAPANESE: Language = Language {
    decimal: '.',
    groups: &[','],
    units: &[unit("万", TEN_THOUSAND, 10_000), unit("億", HUNDRED_MILLION, 10_000)],
    views: Noun { around: &[("", "回視聴"), ("視聴回数 ", "回")], none: &["視聴回数なし"] },
    subscribers: Noun {
        around: &[("チャンネル登録者数 ", "人")], none: &["チャンネル登録者なし"]
    },
};

const CHINESE: Language = Language {
    decimal: '.',
    groups: &[','],
    units: &[unit("万", TEN_THOUSAND, 10_000), unit("亿", HUNDRED_MILLION, 10_000)],
    views: Noun { around: &[("", "次观看")], none: &["无人观看"] },
    subscribers: Noun { around: &[("", "位订阅者")], none: &["没有订阅者"] },
};

const TRADITIONAL_CHINESE: Language = Language {
    decimal: '.',
    groups: &[','],
    units: &[unit("萬", TEN_THOUSAND, 10_000), unit("億", HUNDRED_MILLION, 10_000)],
    views: Noun { around: &[("觀看次數：", "次"), ("", "次觀看")], none: &["沒有人觀看"] },
    subscribers: Noun {
        around: &[("訂閱人數：", "人"), ("", "位訂閱者")], none: &["沒有訂閱者"]
    },
};

const GERMAN: Language = Language {
    decimal: ',',
    groups: &['.'],
    units: &[unit("Tsd.", THOUSAND, 1_000), unit("Mio.", MILLION, 1_000), unit("Mrd.", BILLION, 1_000)],
    views: Noun { around: &[("", " Aufrufe"), ("", " Aufruf")], none: &["Keine Aufrufe"] },
    subscribers: Noun { around: &[("", " Abonnenten"), ("", " Abonnent")], none: &["Keine Abonnenten"] },
};

const FRENCH: Language = Language {
    decimal: ',',
    groups: &[' '],
    units: &[unit("k", THOUSAND, 1_000), unit("M", MILLION, 1_000), unit("Md", BILLION, 1_000)],
    views: Noun { around: &[("", " de vues"), ("", " vues"), ("", " vue")], none: &["Aucune vue"] },
    subscribers: Noun {
        around: &[("", " d’abonnés"), ("", " d'abonnés"), ("", " abonnés"), ("", " abonné")],
        none: &["Aucun abonné"],
    },
};

/// Written from right to left with a mark in front; its numbers are written like English ones.
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
    views: Noun {
        around: &[("", " ملاحظات"), ("", " ملاحظہ")], none: &["کوئی ملاحظہ نہیں"]
    },
    subscribers: Noun {
        around: &[("", " سبسکرائبرز"), ("", " سبسکرائبر")], none: &["کوئی سبسکرائبر نہیں"]
    },
};
