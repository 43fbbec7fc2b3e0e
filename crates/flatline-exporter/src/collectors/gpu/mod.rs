//! GPUs: temperatures, power, clocks and errors, which of them hang or are missing; and the processor's temperature.
//!
//! Each card is read by a thread of its own, which hangs when the card's driver does. It is not read again until that
//! thread comes back, so that a card costs one thread however long it hangs; the others never wait for it.

mod memory;
mod reading;

use crate::collector::{Activation, Collector, Descriptor, Environment, Faults, Init};
use crate::errands::Errands;
use crate::exposition::Reading;
use crate::flags::value;
use crate::kept::Kept;
use clap::{Arg, ArgAction, ArgMatches};
use flatline_catalog::gpu as catalog;
use flatline_sources::gpu::{self as source, Card, CpuTemperature, Facts, Finder, Look, Nvidia, NvmlState};
use flatline_sources::{Roots, SourceError};
use memory::Memory;
use reading::{Shown, ShownCard};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) static COLLECTOR: Descriptor = Descriptor {
    name: "gpu",
    help: "GPUs: temperatures, power, memory, links and errors, which of them hang or are missing; the processor's temperature.",
    activation: Activation::Auto,
    families: catalog::FAMILIES,
    flags,
    init,
};

/// The name of the file in the state directory.
const SNAPSHOT: &str = "gpu";
const PATIENCE: &str = "collector.gpu.patience";
const FORGET: &str = "collector.gpu.forget";
const NVML_LIBRARY: &str = "collector.gpu.nvml-library";
/// A read that takes longer is told of in the log. A busy driver takes milliseconds.
const TOO_LONG: Duration = Duration::from_secs(1);

fn flags() -> Vec<Arg> {
    vec![
        value(PATIENCE, "DURATION", "How long a scrape waits for a GPU; one that is later is left out of it")
            .default_value("200ms")
            .value_parser(humantime::parse_duration),
        value(
            FORGET,
            "ADDRESS",
            "A GPU that was taken out for good, such as 0000:0b:00.0, and is not missed; repeatable",
        )
        .action(ArgAction::Append),
        value(
            NVML_LIBRARY,
            "NAME",
            "NVIDIA's library, by name or path; loaded when its driver has a GPU; empty for none",
        )
        .default_value("libnvidia-ml.so.1"),
    ]
}

fn forgotten(flags: &ArgMatches) -> Result<Vec<String>, String> {
    let given: Vec<String> = flags.get_many::<String>(FORGET).into_iter().flatten().cloned().collect();
    match given.iter().find(|address| !source::is_address(address)) {
        Some(wrong) => Err(format!("--{FORGET}: `{wrong}` is no PCI address like 0000:0b:00.0")),
        None => Ok(given),
    }
}

fn init(environment: &Environment) -> Init {
    let forget = match forgotten(&environment.flags) {
        Ok(forget) => forget,
        Err(reason) => return Init::Failed(reason),
    };
    let roots = environment.roots.clone();
    let mut finder = Finder::new(&roots);
    let cards = match finder.list(&mut |_| {}) {
        Ok(cards) => cards,
        Err(error) => return Init::Failed(error.to_string()),
    };
    let mut kept = Kept::new(environment.state.as_ref(), SNAPSHOT);
    let mut memory: Memory = kept.load();
    memory.update(&cards, &forget);
    // A card that is missed must be told of though there is no other.
    if cards.is_empty() && memory.cards().next().is_none() && source::cpu_temperatures(&roots).0.is_empty() {
        let bus = roots.sysfs.join("bus/pci/devices");
        return Init::Off(format!(
            "no GPU of AMD, Intel or NVIDIA in {}, no NVIDIA driver, and no processor that tells its temperature (k10temp, coretemp)",
            bus.display()
        ));
    }
    let patience = environment.flags.get_one::<Duration>(PATIENCE).copied().unwrap_or(Duration::from_millis(200));
    let library = environment.flags.get_one::<String>(NVML_LIBRARY).cloned().unwrap_or_default();
    Init::On(Box::new(Gpus {
        finder,
        nvidia: Arc::new(Nvidia::new(&roots, library)),
        roots,
        patience,
        forget,
        memory,
        kept,
        errands: Errands::deep("fl-gpu"),
        round: 0,
        out_since: HashMap::new(),
        facts: HashMap::new(),
    }))
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Card(String),
    Cpu,
}

/// What comes back.
enum Found {
    Card(Box<Look>),
    Cpu(Vec<CpuTemperature>, Vec<SourceError>),
}

/// A read that may hang. Its answer comes with the round it was sent in: a late one tells of the past.
type Errand = Box<dyn FnOnce() -> (u64, Found) + Send>;

struct Gpus {
    finder: Finder,
    roots: Roots,
    nvidia: Arc<Nvidia>,
    patience: Duration,
    forget: Vec<String>,
    memory: Memory,
    kept: Kept<Memory>,
    errands: Errands<Key, (u64, Found)>,
    round: u64,
    /// Since when the reads that have not come back are out, and whether the log has it.
    out_since: HashMap<String, (Instant, bool)>,
    /// What is known of cards since they were last awake.
    facts: HashMap<String, Facts>,
}

impl Collector for Gpus {
    fn collect(&mut self, faults: &mut Faults) -> Result<Arc<dyn Reading>, SourceError> {
        let mut cards = self.finder.list(&mut |fault| faults.report(fault))?;
        let begun = Instant::now();
        self.nvidia.note(&cards);
        let (mut looks, cpu) = self.ask(&cards, faults);
        // It went while it was looked at.
        cards.retain(|card| looks.get(&card.address).is_none_or(|look| look.there));
        self.watch_those_out(&cards, begun);
        self.learn(&cards, &mut looks);
        self.memory.update(&cards, &self.forget);
        if self.kept.is_due() {
            self.kept.save(self.memory.clone());
        }
        let nvml = nvml(&cards, &looks);
        Ok(Arc::new(Shown { cards: self.shown(cards, looks), cpu, nvml }))
    }
}

impl Gpus {
    /// Asks everybody who is not out already, and waits for a while. What is late is dropped when it comes.
    fn ask(&mut self, cards: &[Card], faults: &mut Faults) -> (HashMap<String, Look>, Vec<CpuTemperature>) {
        drop(self.errands.settled());
        self.round += 1;
        let round = self.round;
        let questions = cards.iter().map(|card| {
            let (roots, card, nvidia) = (self.roots.clone(), card.clone(), Arc::clone(&self.nvidia));
            let key = Key::Card(card.address.clone());
            let errand: Errand = Box::new(move || (round, Found::Card(Box::new(source::look(&roots, &card, &nvidia)))));
            (key, errand)
        });
        let roots = self.roots.clone();
        let cpu: Errand = Box::new(move || {
            let (temperatures, errors) = source::cpu_temperatures(&roots);
            (round, Found::Cpu(temperatures, errors))
        });
        let questions: Vec<(Key, Errand)> = questions.chain([(Key::Cpu, cpu)]).collect();
        let (mut looks, mut cpu) = (HashMap::new(), Vec::new());
        let answers = self.errands.run(questions, self.patience);
        for (key, (_, found)) in answers.into_iter().filter(|(_, (sent, _))| *sent == round) {
            match (key, found) {
                (Key::Card(address), Found::Card(look)) => {
                    look.faults.iter().for_each(|fault| faults.report(fault));
                    looks.insert(address, *look);
                }
                (_, Found::Cpu(temperatures, errors)) => {
                    errors.iter().for_each(|fault| faults.report(fault));
                    cpu = temperatures;
                }
                (Key::Cpu, Found::Card(_)) => {}
            }
        }
        (looks, cpu)
    }

    /// Keeps account of the cards that do not answer, and says so once.
    fn watch_those_out(&mut self, cards: &[Card], begun: Instant) {
        let Self { errands, out_since, .. } = self;
        out_since.retain(|address, _| errands.is_out(&Key::Card(address.clone())));
        for card in cards.iter().filter(|card| errands.is_out(&Key::Card(card.address.clone()))) {
            let (since, told) = out_since.entry(card.address.clone()).or_insert((begun, false));
            if !*told && since.elapsed() >= TOO_LONG {
                *told = true;
                tracing::warn!(
                    gpu = card.address,
                    driver = card.driver,
                    "the GPU does not answer: a read of its sensors hangs in its driver; it is left out until it returns"
                );
            }
        }
    }

    /// Keeps what was learnt of cards that were awake, for the time they sleep.
    fn learn(&mut self, cards: &[Card], looks: &mut HashMap<String, Look>) {
        self.facts.retain(|address, _| cards.iter().any(|card| card.address == *address));
        for card in cards {
            let facts = looks.get_mut(&card.address).and_then(|look| look.facts.take());
            self.facts.extend(facts.map(|facts| (card.address.clone(), facts)));
        }
    }

    fn shown(&self, cards: Vec<Card>, mut looks: HashMap<String, Look>) -> Vec<ShownCard> {
        let missing = self.memory.cards().map(|(address, _)| address);
        let missing: Vec<String> =
            missing.filter(|address| !cards.iter().any(|card| card.address == **address)).cloned().collect();
        let there = cards.into_iter().map(|card| ShownCard {
            address: card.address.clone(),
            expected: self.memory.expects(&card.address),
            stuck: Some(self.stuck(&card.address).unwrap_or_default()),
            facts: self.facts.get(&card.address).cloned().unwrap_or_default(),
            look: looks.remove(&card.address),
            card: Some(card),
        });
        let mut shown: Vec<ShownCard> = there.collect();
        // One that fell off the bus may still hang in its driver.
        shown.extend(missing.into_iter().map(|address| ShownCard {
            stuck: self.stuck(&address),
            address,
            card: None,
            expected: true,
            facts: Facts::default(),
            look: None,
        }));
        shown.sort_by(|one, other| one.address.cmp(&other.address));
        shown
    }

    fn stuck(&self, address: &str) -> Option<Duration> {
        self.out_since.get(address).map(|(since, _)| since.elapsed())
    }
}

/// What is to be said of NVML for the whole host: trouble first. `None` while none of its cards answers.
fn nvml(cards: &[Card], looks: &HashMap<String, Look>) -> Option<NvmlState> {
    if !cards.iter().any(|card| card.driver == source::NVIDIA_DRIVER) {
        return Some(NvmlState::Off("no NVIDIA driver"));
    }
    let states = looks.values().filter_map(|look| look.nvml.clone());
    states.max_by_key(|state| match state {
        NvmlState::Failed(_) => 2,
        NvmlState::On => 1,
        NvmlState::Off(_) => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::{flags, forgotten};

    #[test]
    fn addresses_are_checked() {
        let parsed = |arguments: &[&str]| {
            let command = clap::Command::new("test").no_binary_name(true).args(flags());
            forgotten(&command.try_get_matches_from(arguments).expect("flags"))
        };
        assert_eq!(parsed(&["--collector.gpu.forget=0000:0b:00.0"]), Ok(vec!["0000:0b:00.0".to_owned()]));
        let refused = parsed(&["--collector.gpu.forget=0b:00.0"]).expect_err("no domain");
        assert!(refused.contains("`0b:00.0`") && refused.contains("--collector.gpu.forget"), "{refused}");
    }
}
