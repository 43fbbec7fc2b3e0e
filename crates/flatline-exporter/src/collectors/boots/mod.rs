//! The host's boots and the heartbeat: who died how, and whether the disk under the state directory lives.

mod heart;
mod seed;

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init};
use crate::exposition::{Emitter, Reading};
use crate::flags::value;
use clap::Arg;
use flatline_catalog::boots as catalog;
use flatline_ledger::{Identity, jiff::Timestamp};
use flatline_sources::SourceError;
use heart::{Heart, Pulse};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "boots",
    help: "Boots, crashes and short boots of this host, and a heartbeat that tells whether its disk still writes.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags,
    init,
};

const SHORT: &str = "collector.boots.short";
const JOURNALCTL: &str = "collector.boots.journalctl";

fn flags() -> Vec<Arg> {
    vec![
        value(SHORT, "DURATION", "A boot that was not shut down and lasted less is a short one")
            .default_value("30m")
            .value_parser(humantime::parse_duration),
        value(JOURNALCTL, "PROGRAM", "Asked once, at the very first start, which boots the journal knows")
            .default_value("journalctl"),
    ]
}

fn init(environment: &Environment) -> Init {
    let Some(state) = environment.state.clone() else {
        return Init::Off("there is no state directory to remember boots in (--state.directory)".to_owned());
    };
    let identity = match Identity::read(&environment.roots) {
        Ok(identity) => identity,
        Err(error) => return Init::Failed(error.to_string()),
    };
    let short = environment.flags.get_one::<Duration>(SHORT).copied().unwrap_or(flatline_ledger::SHORT_BOOT);
    let journal = seed::Journal {
        program: environment.flags.get_one::<String>(JOURNALCTL).cloned().unwrap_or_default(),
        root: environment.roots.elsewhere().map(Path::to_path_buf),
    };
    match Heart::start(state, identity, short, journal) {
        Ok(heart) => Init::On(Box::new(Boots { heart })),
        Err(error) => Init::Failed(format!("no thread for the heartbeat: {error}")),
    }
}

struct Boots {
    heart: Heart,
}

impl Collector for Boots {
    fn collect(&mut self, _: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        Ok(Arc::new(self.heart.pulse()))
    }
}

impl Reading for Pulse {
    fn emit(&self, out: &mut Emitter<'_>) -> fmt::Result {
        if let Some(figures) = &self.figures {
            out.single(&catalog::BOOTS, figures.totals.boots)?;
            out.single(&catalog::UNCLEAN_BOOTS, figures.totals.unclean)?;
            out.single(&catalog::SHORT_BOOTS, figures.totals.short)?;
            let mut optional = |family, value: Option<f64>| out.family(family, |samples| samples.push_some(&[], value));
            let previous = figures.previous.as_ref();
            let flag = |flag: bool| f64::from(u8::from(flag));
            optional(&catalog::BOOT_TIME, figures.start.map(unix_time))?;
            optional(&catalog::PREVIOUS_START, previous.map(|previous| unix_time(previous.start)))?;
            optional(&catalog::PREVIOUS_END, previous.map(|previous| unix_time(previous.end)))?;
            optional(&catalog::PREVIOUS_CLEAN, previous.and_then(|previous| previous.clean).map(flag))?;
            optional(&catalog::PREVIOUS_GAP, previous.and_then(|previous| previous.gap).map(|gap| gap.as_secs_f64()))?;
            optional(&catalog::KERNEL_CHANGED, previous.and_then(|previous| previous.kernel_changed).map(flag))?;
        }
        out.family(&catalog::BOOT_INFO, |samples| {
            samples.push(&[&self.kernel, self.previous_kernel.as_deref().unwrap_or_default()], 1u64)
        })?;
        out.family(&catalog::HEARTBEAT, |samples| samples.push_some(&[], self.beaten.map(unix_time)))?;
        out.family(&catalog::HEARTBEAT_WRITE, |samples| samples.push_histogram(&self.writes))?;
        out.single(&catalog::HEARTBEAT_STALLED, self.stalled)
    }
}

fn unix_time(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}
