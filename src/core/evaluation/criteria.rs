//! The grammar of one criterion: `<=400`, `<=+10%`, `>=-5`.
//!
//! ```text
//! criterion := op number            absolute: compare with the number
//!            | op sign number       relative: compare with the earlier value plus or minus the number
//!            | op [sign] number "%" relative: compare with the earlier value changed by so many percent
//!            | op "(" [sign] number ")"  absolute, also below zero
//! op        := "<=" | "<" | "=" | ">=" | ">"
//! ```
//!
//! Spaces mean nothing. The parentheses are ours: in Keptn v1 a sign always makes a criterion relative, so that a
//! negative threshold could not be written.

use std::{fmt, str::FromStr};

/// How a value is compared with its target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operator {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `=`: exactly the same number.
    Equal,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
}

impl Operator {
    /// As it is written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Equal => "=",
            Self::GreaterOrEqual => ">=",
            Self::Greater => ">",
        }
    }

    /// How a value relates to the target that it violates: `>` for `<=`.
    pub const fn violated_symbol(self) -> &'static str {
        match self {
            Self::Less => ">=",
            Self::LessOrEqual => ">",
            Self::Equal => "!=",
            Self::GreaterOrEqual => "<",
            Self::Greater => "<=",
        }
    }

    /// Whether `value` is what the operator asks for.
    #[expect(clippy::float_cmp, reason = "`=` is exact equality, as the grammar says")]
    pub fn holds(self, value: f64, target: f64) -> bool {
        match self {
            Self::Less => value < target,
            Self::LessOrEqual => value <= target,
            Self::Equal => value == target,
            Self::GreaterOrEqual => value >= target,
            Self::Greater => value > target,
        }
    }
}

/// What the value is compared with. The numbers are finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// This number.
    Absolute(f64),
    /// The earlier value plus this number.
    Difference(f64),
    /// The earlier value changed by so many percent.
    Percent(f64),
}

/// One condition on one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Criterion {
    /// How the value is compared.
    pub operator: Operator,
    /// With what.
    pub goal: Goal,
}

impl Criterion {
    /// Whether it compares with earlier values.
    pub const fn is_relative(self) -> bool {
        !matches!(self.goal, Goal::Absolute(_))
    }

    /// The number to compare with, given what earlier values came to.
    pub fn target(self, baseline: f64) -> f64 {
        match self.goal {
            Goal::Absolute(number) => number,
            Goal::Difference(number) => baseline + number,
            Goal::Percent(percent) => baseline * (100.0 + percent) / 100.0,
        }
    }
}

/// The canonical form: reading it gives the same criterion again.
impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operator.symbol())?;
        match self.goal {
            Goal::Absolute(number) if number.is_sign_negative() => write!(f, "({number})"),
            Goal::Absolute(number) => write!(f, "{number}"),
            Goal::Difference(number) => write!(f, "{number:+}"),
            Goal::Percent(percent) => write!(f, "{percent:+}%"),
        }
    }
}

/// Why a text is not a criterion.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// It does not begin with an operator.
    #[error(
        "{0:?} is not a criterion: it must begin with <, <=, =, >= or >, such as \"<=400\" or \"<=+10%\""
    )]
    Operator(String),
    /// What follows the operator is not a number.
    #[error(
        "{0:?} is not a criterion: after {1} a plain number must follow, without unit or thousands separator, such as \"<=400\", \"<=+10%\" or \">=(-5)\""
    )]
    Number(String, &'static str),
}

impl FromStr for Criterion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let dense: String = text.chars().filter(|c| *c != ' ').collect();
        let (operator, rest) = split_operator(&dense).ok_or_else(|| Error::Operator(text.to_owned()))?;
        let goal = goal(rest).ok_or_else(|| Error::Number(text.to_owned(), operator.symbol()))?;
        Ok(Self { operator, goal })
    }
}

fn split_operator(dense: &str) -> Option<(Operator, &str)> {
    // The longer ones first: `<=` begins with `<`.
    [
        Operator::LessOrEqual,
        Operator::GreaterOrEqual,
        Operator::Less,
        Operator::Greater,
        Operator::Equal,
    ]
    .into_iter()
    .find_map(|operator| dense.strip_prefix(operator.symbol()).map(|rest| (operator, rest)))
}

fn goal(rest: &str) -> Option<Goal> {
    if let Some(inner) = rest.strip_prefix('(') {
        return signed(inner.strip_suffix(')')?).map(|(_, number)| Goal::Absolute(number));
    }
    if let Some(number) = rest.strip_suffix('%') {
        return signed(number).map(|(_, number)| Goal::Percent(number));
    }
    signed(rest).map(|(has_sign, number)| {
        if has_sign {
            Goal::Difference(number)
        } else {
            Goal::Absolute(number)
        }
    })
}

/// A number with at most one sign, and whether it has one.
fn signed(text: &str) -> Option<(bool, f64)> {
    if let Some(rest) = text.strip_prefix('-') {
        return number(rest).map(|n| (true, -n));
    }
    if let Some(rest) = text.strip_prefix('+') {
        return number(rest).map(|n| (true, n));
    }
    number(text).map(|n| (false, n))
}

/// A finite number without a sign. Words that Rust reads as numbers (`inf`, `nan`) are none here.
fn number(text: &str) -> Option<f64> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    text.parse().ok().filter(|n: &f64| n.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::less_as_v1("<10", Operator::Less, Goal::Absolute(10.0))]
    #[case::less_or_equal_as_v1("<=10", Operator::LessOrEqual, Goal::Absolute(10.0))]
    #[case::equal_as_v1("=10", Operator::Equal, Goal::Absolute(10.0))]
    #[case::greater_or_equal_as_v1(">=10", Operator::GreaterOrEqual, Goal::Absolute(10.0))]
    #[case::greater_as_v1(">10", Operator::Greater, Goal::Absolute(10.0))]
    #[case::c19_percent_less_as_v1(">-10%", Operator::Greater, Goal::Percent(-10.0))]
    #[case::percent_more_as_v1("<=+10.5%", Operator::LessOrEqual, Goal::Percent(10.5))]
    #[case::difference_as_v1("<=+10", Operator::LessOrEqual, Goal::Difference(10.0))]
    #[case::difference_less_as_v1(">=-5", Operator::GreaterOrEqual, Goal::Difference(-5.0))]
    #[case::c20_spaces_as_v1("  <=+10   %", Operator::LessOrEqual, Goal::Percent(10.0))]
    #[case::percent_without_sign_as_v1("  <=10%", Operator::LessOrEqual, Goal::Percent(10.0))]
    #[case::exponent_as_v1("<1e3", Operator::Less, Goal::Absolute(1000.0))]
    #[case::no_whole_as_v1("<.5", Operator::Less, Goal::Absolute(0.5))]
    #[case::no_fraction_as_v1("<5.", Operator::Less, Goal::Absolute(5.0))]
    #[case::space_inside_as_v1("> =-10%", Operator::GreaterOrEqual, Goal::Percent(-10.0))]
    #[case::space_around_as_v1(" <  5 ", Operator::Less, Goal::Absolute(5.0))]
    #[case::by_design_threshold_0(">=(-5)", Operator::GreaterOrEqual, Goal::Absolute(-5.0))]
    #[case::by_design_threshold_1("< ( 5 )", Operator::Less, Goal::Absolute(5.0))]
    fn reads(#[case] text: &str, #[case] operator: Operator, #[case] goal: Goal) {
        assert_eq!(text.parse(), Ok(Criterion { operator, goal }));
    }

    #[rstest]
    #[case::number_as_v1("10")]
    #[case::not_equal_as_v1("!=5")]
    #[case::tilde_as_v1("~5")]
    #[case::empty_as_v1("")]
    #[case::word_as_v1("good")]
    fn needs_an_operator(#[case] text: &str) {
        assert_eq!(text.parse::<Criterion>(), Err(Error::Operator(text.to_owned())));
    }

    #[rstest]
    #[case::as_v1_0("<")]
    #[case::as_v1_1("<=")]
    #[case::as_v1_2("<%")]
    #[case::as_v1_3("==5")]
    #[case::as_v1_4("<>5")]
    #[case::as_v1_5("<5ms")]
    #[case::as_v1_6("<5%x")]
    #[case::as_v1_7("<=1,000")]
    #[case::by_design_two_signs("<--5")]
    #[case::by_design_both_signs("<=+-5")]
    #[case::by_design_infinite("<inf")]
    #[case::by_design_nan("<=+nan%")]
    #[case::by_design_too_large("<1e999")]
    #[case::by_design_hex("<0x10")]
    #[case::as_v1_14("<(5%)")]
    #[case::as_v1_15("<(5")]
    #[case::as_v1_16("<\t5")]
    // By design where v1 took what Go's parser takes: two signs, `inf`, `nan` and hexadecimal digits are typing mistakes
    // that no threshold needs.
    fn needs_a_plain_number(#[case] text: &str) {
        let error = text.parse::<Criterion>().unwrap_err();
        assert!(matches!(error, Error::Number(..)), "{error}");
        assert!(error.to_string().contains("such as"), "{error}");
    }

    #[rstest]
    #[case("<=+10%", 10.0, 11.0)]
    #[case(">=-10%", 10.0, 9.0)]
    #[case("<=+10", 10.0, 20.0)]
    #[case(">=-5", 10.0, 5.0)]
    #[case("<3", 10.0, 3.0)]
    fn comes_to_a_target(#[case] text: &str, #[case] baseline: f64, #[case] target: f64) {
        let criterion: Criterion = text.parse().unwrap();
        assert!((criterion.target(baseline) - target).abs() < 1e-12);
    }

    #[rstest]
    #[case(Operator::Greater, 10.0, 9.0, true)]
    #[case(Operator::GreaterOrEqual, 10.0, 10.0, true)]
    #[case(Operator::LessOrEqual, 10.0, 10.0, true)]
    #[case(Operator::Less, 10.0, 10.0, false)]
    #[case(Operator::Greater, 10.0, 10.0, false)]
    #[case(Operator::Equal, 10.0, 10.0, true)]
    fn compares(#[case] operator: Operator, #[case] value: f64, #[case] target: f64, #[case] holds: bool) {
        assert_eq!(operator.holds(value, target), holds);
    }

    fn any_criterion() -> impl Strategy<Value = Criterion> {
        let operator = prop::sample::select(vec![
            Operator::Less,
            Operator::LessOrEqual,
            Operator::Equal,
            Operator::GreaterOrEqual,
            Operator::Greater,
        ]);
        let number = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
        let goal = (0..3, number).prop_map(|(kind, n)| match kind {
            0 => Goal::Absolute(n),
            1 => Goal::Difference(n),
            _ => Goal::Percent(n),
        });
        (operator, goal).prop_map(|(operator, goal)| Criterion { operator, goal })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(criterion in any_criterion()) {
            prop_assert_eq!(criterion.to_string().parse(), Ok(criterion));
        }

        #[test]
        fn what_is_read_reads_the_same_again(text in "[<>=]{1,2} ?[-+(]?[0-9.e]{0,6}[)%]?") {
            if let Ok(criterion) = text.parse::<Criterion>() {
                prop_assert_eq!(criterion.to_string().parse(), Ok(criterion));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<Criterion>().map_err(|e| e.to_string());
        }

        #[test]
        fn exactly_one_of_an_operator_and_its_violation_holds(
            criterion in any_criterion(), value in prop::num::f64::NORMAL, baseline in -1e6..1e6f64,
        ) {
            let target = criterion.target(baseline);
            let opposite = match criterion.operator.violated_symbol() {
                ">=" => value >= target,
                ">" => value > target,
                "<" => value < target,
                "<=" => value <= target,
                _ => !Operator::Equal.holds(value, target),
            };
            prop_assert_ne!(criterion.operator.holds(value, target), opposite);
        }
    }
}
