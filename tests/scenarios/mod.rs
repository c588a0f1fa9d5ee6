//! The scenario bank: conditions made by real means, what `offwatch advise`
//! must say of them, and that its advice removes them.
//!
//! A scenario is data and functions ([`bank::Scenario`]); all pass through one
//! runner ([`bank::run`]), which also evaluates the recorded window without each
//! rule that is expected to speak, and then wants the expectation to fail.
//! What no lab can create is written by hand ([`replay`]).

/// Names scenarios, so that cargo lists each as a test.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        mod tests {
            $(
                #[test]
                fn $name() -> anyhow::Result<()> {
                    $crate::scenarios::bank::run(&super::$name())
                }
            )*
        }
    };
}

/// The same for windows that are written by hand.
macro_rules! replays {
    ($($name:ident),* $(,)?) => {
        mod tests {
            $(
                #[test]
                fn $name() -> anyhow::Result<()> {
                    $crate::scenarios::bank::replay(&super::$name())
                }
            )*
        }
    };
}

mod bank;
mod checksum;
mod healthy;
mod offer;
mod replay;
mod size;
mod stability;
mod tunnel;
mod udp;
