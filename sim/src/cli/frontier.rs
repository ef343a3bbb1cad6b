//! `rynxs-sim frontier`: where one leader stops being one, as a table and as a picture.

use std::path::PathBuf;

use clap::Args;
use rynxs_sim::frontier::{self, Cell, DEADLINES_MS, LEASE_S, RATIOS, cell};
use rynxs_sim::scenario;

use super::again::{Again, Failed};
use super::files::{replay, write};
use super::{Done, Exit};

/// Shows for a grid of clock rates and lease settings where two replicas can believe that they lead
/// (I7), and that I1–I6 hold everywhere.
#[derive(Args, Debug)]
pub(crate) struct Frontier {
    /// Runs for each cell of the grid.
    #[arg(long, default_value_t = 4)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The grid's columns: by how many per cent of the leader's rate the standby's clock runs.
    #[arg(long, value_name = "PER_CENT", value_delimiter = ',', default_values_t = RATIOS,
        value_parser = clap::value_parser!(u32).range(100..=1_000))]
    ratio: Vec<u32>,
    /// The grid's rows: R, which with G is less than L.
    #[arg(long, value_name = "MS", value_delimiter = ',', default_values_t = DEADLINES_MS,
        value_parser = clap::value_parser!(u64).range(5_000..=11_900))]
    deadline_ms: Vec<u64>,
    /// Where to draw it.
    #[arg(long, default_value = "frontier.svg")]
    out: PathBuf,
}

impl Frontier {
    pub(crate) fn run(&self) -> Done {
        let mut cells = Vec::new();
        say!(
            "L {LEASE_S} s; runs with two leaders of {} each; | ends what is promised",
            self.seeds
        );
        say_part!("{:<8}", "R \\ q");
        self.ratio.iter().for_each(|ratio| say_part!("{:>7.2}", f64::from(*ratio) / 100.0));
        say!();
        for deadline_ms in &self.deadline_ms {
            say_part!("{:<8}", seconds(*deadline_ms));
            for ratio in &self.ratio {
                let cell = cell(*deadline_ms, *ratio, self.seed..self.seed + self.seeds);
                let mark = if cell.is_promised() { "|" } else { "" };
                say_part!("{:>7}", format!("{}{mark}", shown(&cell)));
                cells.push(cell);
            }
            say!();
        }
        write(&self.out, &picture(&cells, self.ratio.len()))?;
        say!("picture: {}", self.out.display());
        self.judge(&cells)
    }

    fn judge(&self, cells: &[Cell]) -> Done {
        let mut failed = Failed::default();
        for cell in cells {
            let place = format!("R {} ms, q {} %", cell.deadline_ms, cell.ratio);
            for (seed, wrong) in &cell.else_wrong {
                let name = format!("frontier-{}-{}.yaml", cell.deadline_ms, cell.ratio);
                let file = self.out.with_file_name(name);
                let scenario = frontier::scenario(cell.deadline_ms, cell.ratio);
                write(&file, &scenario::write(&scenario, &format!("{wrong}\nseed {seed}")))?;
                say!("{place}, seed {seed}: {wrong}");
                failed.with(Exit::of(wrong), replay(&file, *seed, wrong));
            }
            if cell.is_promised() && cell.two_leaders > 0 {
                say!("{place}: two leaders within what is promised");
                failed.with(Exit::Violation, self.command(cell));
            }
        }
        if failed.is_none() && !cells.iter().any(|cell| cell.two_leaders > 0) {
            say!("no cell broke: the grid does not reach beyond what is promised");
            failed.with(Exit::Unknown, Again::itself());
        }
        Ok(failed.told())
    }

    /// The command that makes one cell again. To replay its scenario does not show two leaders as
    /// wrong: the clocks excuse them there.
    fn command(&self, cell: &Cell) -> Again {
        Again::new("frontier")
            .with("--deadline-ms", cell.deadline_ms)
            .with("--ratio", cell.ratio)
            .with("--seed", self.seed)
            .with("--seeds", self.seeds)
    }
}

fn seconds(ms: u64) -> String {
    format!("{} s", ms as f64 / 1_000.0)
}

fn shown(cell: &Cell) -> String {
    if cell.else_wrong.is_empty() { cell.two_leaders.to_string() } else { "!".to_owned() }
}

/// The grid as an SVG.
fn picture(cells: &[Cell], columns: usize) -> String {
    let (width, height, left, top) = (68, 44, 90, 70);
    let rows = u32::try_from(cells.len() / columns).unwrap_or(0);
    let columns = u32::try_from(columns).unwrap_or(0);
    let (full_width, full_height) = (left + columns * width + 20, top + rows * height + 70);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {full_width} {full_height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{left}\" y=\"24\" font-size=\"16\" font-weight=\"600\">Two replicas that believe \
         they lead (I7), lease {LEASE_S} s</text>\n\
         <text x=\"{left}\" y=\"46\">how much faster the standby's clock runs than the \
         leader's</text>\n"
    );
    for (index, cell) in cells.iter().enumerate() {
        let index = u32::try_from(index).unwrap_or(0);
        let (column, row) = (index % columns, index / columns);
        let (x, y) = (left + column * width, top + row * height);
        let fill = match () {
            () if !cell.else_wrong.is_empty() => "#000",
            () if cell.two_leaders > 0 => "#d55e00",
            () if cell.is_promised() => "#009e73",
            () => "#8fd3bd",
        };
        svg.push_str(&format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"3\" fill=\"{fill}\"/>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#fff\">{}/{}</text>\n",
            width - 3,
            height - 3,
            x + width / 2 - 1,
            y + height / 2 + 3,
            cell.two_leaders,
            cell.runs,
        ));
        if row == 0 {
            let ratio = f64::from(cell.ratio) / 100.0;
            svg.push_str(&format!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{ratio:.2}</text>\n",
                x + width / 2 - 1,
                top - 6
            ));
        }
        if column == 0 {
            svg.push_str(&format!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">R {}</text>\n",
                left - 10,
                y + height / 2 + 3,
                seconds(cell.deadline_ms)
            ));
        }
    }
    let y = top + rows * height + 28;
    let legend = [
        ("#009e73", "promised and held: (R+G)·q &lt; L"),
        ("#8fd3bd", "held without promise"),
        ("#d55e00", "two leaders seen; log and objects unharmed"),
    ];
    for (index, (fill, text)) in legend.into_iter().enumerate() {
        let x = left + u32::try_from(index).unwrap_or(0) * 250;
        svg.push_str(&format!(
            "<rect x=\"{x}\" y=\"{}\" width=\"14\" height=\"14\" fill=\"{fill}\"/>\n\
             <text x=\"{}\" y=\"{y}\">{text}</text>\n",
            y - 12,
            x + 20
        ));
    }
    svg.push_str("</svg>\n");
    svg
}
