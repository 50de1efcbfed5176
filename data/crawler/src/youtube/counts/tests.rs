//! Tables of texts with their counts, and formatters that truncate as YouTube does.

use proptest::prelude::*;

use super::*;

/// Texts of views: value and step.
const VIEWS: &[(&str, u64, u64)] = &[
    ("No views", 0, 1),
    ("0 views", 0, 1),
    ("1 view", 1, 1),
    ("28 views", 28, 1),
    ("995 views", 995, 1),
    ("1234 views", 1_234, 1),
    ("1,234 views", 1_234, 1),
    ("8,299,959 views", 8_299_959, 1),
    ("18,446,744,073,709,551,615 views", u64::MAX, 1),
    ("1K views", 1_000, 1_000),
    ("1.1K views", 1_100, 100),
    ("12K views", 12_000, 1_000),
    ("999K views", 999_000, 1_000),
    ("2.9M views", 2_900_000, 100_000),
    ("1.7B views", 1_700_000_000, 100_000_000),
    ("17B views", 17_000_000_000, 1_000_000_000),
    ("3.1k views", 3_100, 100),
    ("3.6m views", 3_600_000, 100_000),
    ("6m views", 6_000_000, 1_000_000),
    ("1.7bn views", 1_700_000_000, 100_000_000),
    ("1.1K\u{a0}views", 1_100, 100),
    ("  28 views ", 28, 1),
    ("조회수 없음", 0, 1),
    ("조회수 532회", 532, 1),
    ("조회수 1,234회", 1_234, 1),
    ("조회수 7.3천회", 7_300, 100),
    ("7.3천회", 7_300, 100),
    ("조회수 9.2만회", 92_000, 1_000),
    ("9,253만회", 92_530_000, 10_000),
    ("조회수 9,253만회", 92_530_000, 10_000),
    ("조회수 1.7억회", 170_000_000, 10_000_000),
    ("조회수 17억회", 1_700_000_000, 100_000_000),
    ("0 回視聴", 0, 1),
    ("1,234 回視聴", 1_234, 1),
    ("9.5万 回視聴", 95_000, 1_000),
    ("9.5万回視聴", 95_000, 1_000),
    ("1.7億 回視聴", 170_000_000, 10_000_000),
    ("視聴回数 1,234 回", 1_234, 1),
    ("1,234次观看", 1_234, 1),
    ("9.5万次观看", 95_000, 1_000),
    ("17亿次观看", 1_700_000_000, 100_000_000),
    ("1.7亿次观看", 170_000_000, 10_000_000),
    ("觀看次數：1.2萬次", 12_000, 1_000),
    ("Keine Aufrufe", 0, 1),
    ("1 Aufruf", 1, 1),
    ("8.299.959 Aufrufe", 8_299_959, 1),
    ("1,7 Mio. Aufrufe", 1_700_000, 100_000),
    ("1,7\u{a0}Mio. Aufrufe", 1_700_000, 100_000),
    ("17 Mrd. Aufrufe", 17_000_000_000, 1_000_000_000),
    ("Aucune vue", 0, 1),
    ("1 vue", 1, 1),
    ("8\u{202f}299\u{202f}959 vues", 8_299_959, 1),
    ("8\u{a0}299\u{a0}959\u{a0}vues", 8_299_959, 1),
    ("1,1\u{a0}k vues", 1_100, 100),
    ("1,7\u{a0}M de vues", 1_700_000, 100_000),
    ("2,5\u{a0}Md de vues", 2_500_000_000, 100_000_000),
    ("\u{200f}1,234 ملاحظات", 1_234, 1),
    ("\u{200f}3.6M ملاحظات", 3_600_000, 100_000),
    ("\u{200f}1.7 کروڑ ملاحظات", 17_000_000, 1_000_000),
];

/// Texts of subscribers: value and step.
const SUBSCRIBERS: &[(&str, u64, u64)] = &[
    ("No subscribers", 0, 1),
    ("1 subscriber", 1, 1),
    ("8.84k subscribers", 8_840, 10),
    ("8.84K subscribers", 8_840, 10),
    ("24.6m subscribers", 24_600_000, 100_000),
    ("25m subscribers", 25_000_000, 1_000_000),
    ("348M subscribers", 348_000_000, 1_000_000),
    ("구독자 1090만명", 10_900_000, 10_000),
    ("구독자 1.09천명", 1_090, 10),
    ("チャンネル登録者数 12.3万人", 123_000, 1_000),
    ("9.5万位订阅者", 95_000, 1_000),
    ("訂閱人數：1.2萬人", 12_000, 1_000),
    ("1,7 Mio. Abonnenten", 1_700_000, 100_000),
    ("12,3\u{a0}k abonnés", 12_300, 100),
    ("1,7\u{a0}M d’abonnés", 1_700_000, 100_000),
    ("\u{200f}1.09M سبسکرائبرز", 1_090_000, 10_000),
];

/// Texts that are not views.
const NO_VIEWS: &[&str] = &[
    "",
    " ",
    "views",
    " views",
    "1",
    "1.1K",
    "1.1 views",
    "1.234 views",
    "1,23 views",
    "1,2345 views",
    "1234,567 views",
    "1,234,56 views",
    "12,34,567 views",
    ",234 views",
    "1,,234 views",
    "1 234 views",
    "01 views",
    "-1 views",
    "+1 views",
    "1.K views",
    ".5K views",
    "0.5K views",
    "0K views",
    "1.234K views",
    "1,5K views",
    "1.1.1K views",
    "1234K views",
    "1,234K views",
    "1.1KK views",
    "1.1T views",
    "1e3 views",
    "18,446,744,073,709,551,616 views",
    "99999999999999999999 views",
    "1.1K views 2 years ago",
    "about 1.1K views",
    "1.1K watching",
    "56 waiting",
    "1.1K subscribers",
    "258 videos",
    "10:30",
    "13 days ago",
    "no views",
    "١٢٣ ملاحظات",
    "조회수 회",
    "조회수 1.7억",
    "조회수 1.7",
    "조회수 1.7억만회",
    "조회수 17.000만회",
    "구독자 1090만명",
    "12.3천회",
    "1.7亿",
    "1.7億次观看",
    "1,7 Mio Aufrufe",
    "1.7 Mio. Aufrufe",
    "1,234 Aufrufe",
    "1.7 M de vues",
    "1 23 vues",
    "1  234 vues",
];

#[test]
fn counts_are_parsed() {
    let check = |noun: &str, text: &str, read: Result<Count, CountError>, value: u64, step: u64| {
        println!("{noun:<12} {:<42} {value:>22} step {step}", format!("{text:?}"));
        assert_eq!(read, Ok(Count { value, approximate: step > 1, step }), "{text:?}");
    };
    for (text, value, step) in VIEWS {
        check("views", text, Count::parse_views(text), *value, *step);
    }
    for (text, value, step) in SUBSCRIBERS {
        check("subscribers", text, Count::parse_subscribers(text), *value, *step);
    }
}

#[test]
fn unknown_formats_are_errors_with_the_text() {
    for text in NO_VIEWS {
        let error = Count::parse_views(text).unwrap_err();
        println!("views        {:<42} {error}", format!("{text:?}"));
        assert_eq!((error.text.as_str(), error.noun), (*text, "views"));
    }
    let error = Count::parse_subscribers("258 videos").unwrap_err();
    assert_eq!(error.to_string(), "“258 videos” is not a known format of subscribers");
}

#[test]
fn text_in_an_error_is_truncated() {
    let error = Count::parse_views(&"9".repeat(10_000)).unwrap_err();
    assert_eq!(error.text.len(), MAX_QUOTE_CHARS);
}

#[test]
fn every_text_is_parsed_in_one_language_only() {
    for (text, ..) in VIEWS {
        let read = |language: &&Language| read_in(plain(text).trim(), language, &language.views).is_some();
        assert_eq!(LANGUAGES.iter().filter(read).count(), 1, "{text:?}");
    }
}

#[test]
fn subscribers_of_the_api_have_three_significant_digits() {
    let check = |value, step| {
        let count = Count { value, approximate: step > 1, step };
        assert_eq!(Count::rounded_to_three_digits(value), count);
    };
    check(0, 1);
    check(999, 1);
    check(1_230, 10);
    check(24_600_000, 100_000);
    check(u64::MAX, 100_000_000_000_000_000);
}

/// Separates groups of three digits.
fn grouped(n: u64, separator: &str) -> String {
    let digits = n.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    groups.map(|group| std::str::from_utf8(group).unwrap()).collect::<Vec<_>>().join(separator)
}

/// A formatter of counts, as YouTube's in one language.
struct DisplayFormat {
    units: &'static [(&'static str, u64)],
    decimal: &'static str,
    separator: &'static str,
    /// Below this many units, a number has one decimal.
    decimals_below: u64,
    before: &'static str,
    after: &'static str,
}

impl DisplayFormat {
    /// Formats `n` as YouTube does, and returns the value of one unit in its last digit.
    fn show(&self, n: u64) -> (String, u64) {
        let unit = self.units.iter().rev().find(|(_, scale)| n >= *scale);
        let (number, step) = match unit {
            None => (grouped(n, self.separator), 1),
            Some((name, scale)) => {
                let (whole, tenth) = (n / scale, n % scale / (scale / 10));
                if whole < self.decimals_below && tenth > 0 {
                    (format!("{whole}{}{tenth}{name}", self.decimal), scale / 10)
                } else {
                    (format!("{}{name}", grouped(whole, self.separator)), *scale)
                }
            }
        };
        (format!("{}{number}{}", self.before, self.after), step)
    }
}

const ENGLISH: DisplayFormat = DisplayFormat {
    units: &[("K", 1_000), ("M", 1_000_000), ("B", 1_000_000_000)],
    decimal: ".",
    separator: ",",
    decimals_below: 10,
    before: "",
    after: " views",
};

const DISPLAYS: &[DisplayFormat] = &[
    ENGLISH,
    DisplayFormat { units: &[("k", 1_000), ("m", 1_000_000), ("bn", 1_000_000_000)], ..ENGLISH },
    DisplayFormat {
        units: &[("천", 1_000), ("만", 10_000), ("억", 100_000_000)],
        before: "조회수 ",
        after: "회",
        ..ENGLISH
    },
    DisplayFormat { units: &[("万", 10_000), ("億", 100_000_000)], after: " 回視聴", ..ENGLISH },
    DisplayFormat { units: &[("万", 10_000), ("亿", 100_000_000)], after: "次观看", ..ENGLISH },
    DisplayFormat { units: &[("萬", 10_000), ("億", 100_000_000)], after: "次觀看", ..ENGLISH },
    DisplayFormat {
        units: &[(" Mio.", 1_000_000), (" Mrd.", 1_000_000_000)],
        decimal: ",",
        separator: ".",
        after: " Aufrufe",
        ..ENGLISH
    },
    DisplayFormat {
        units: &[("\u{a0}k", 1_000), ("\u{a0}M", 1_000_000), ("\u{a0}Md", 1_000_000_000)],
        decimal: ",",
        separator: "\u{202f}",
        after: "\u{a0}de vues",
        ..ENGLISH
    },
    DisplayFormat { before: "\u{200f}", after: " ملاحظات", ..ENGLISH },
];

/// Numbers of every magnitude, which a plain range would not generate.
fn any_count() -> impl Strategy<Value = u64> {
    (0..12_u32).prop_flat_map(|digits| 0..10_u64.pow(digits))
}

proptest! {
    #[test]
    fn truncated_count_is_parsed_as_its_floor(n in any_count()) {
        for display in DISPLAYS {
            let (text, step) = display.show(n);
            let count = Count::parse_views(&text).unwrap();
            prop_assert_eq!(count, Count { value: n / step * step, approximate: step > 1, step }, "{}", text);
            prop_assert!((count.value..=count.at_most()).contains(&n), "{}", text);
        }
    }

    #[test]
    fn exact_count_is_parsed_exactly(n: u64) {
        for display in DISPLAYS {
            let text = format!("{}{}{}", display.before, grouped(n, display.separator), display.after);
            prop_assert_eq!(Count::parse_views(&text), Ok(Count::exact(n)), "{}", text);
        }
    }

    #[test]
    fn parsing_never_panics(text in ".{0,40}", number in "[0-9.,  \u{a0}KMbn만억万亿Mio-]{0,24}") {
        let numbers = [format!("{number} views"), format!("조회수 {number}회"), format!("{number} vues")];
        for text in numbers.into_iter().chain([text]) {
            let _ = Count::parse_subscribers(&text);
            if let Ok(count) = Count::parse_views(&text) {
                prop_assert!(count.step >= 1 && count.value % count.step == 0, "{:?}", text);
            }
        }
    }
}
