//! `rynxs-sim frontier`: where one leader stops being one, as a table and as a picture.

use std::path::PathBuf;

use clap::Args;
use rynxs_sim::frontier::{Cell, DEADLINES_MS, LEASE_S, RATIOS, cell};

use super::files::write;
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
        RATIOS.iter().for_each(|ratio| say_part!("{:>7.2}", f64::from(*ratio) / 100.0));
        say!();
        for deadline_ms in DEADLINES_MS {
            say_part!("{:<8}", format!("{} s", deadline_ms / 1_000));
            for ratio in RATIOS {
                let cell = cell(deadline_ms, ratio, self.seed..self.seed + self.seeds);
                let mark = if cell.is_promised() { "|" } else { "" };
                say_part!("{:>7}", format!("{}{mark}", shown(&cell)));
                cells.push(cell);
            }
            say!();
        }
        write(&self.out, &picture(&cells))?;
        say!("picture: {}", self.out.display());
        let mut exit = Exit::Green;
        for cell in &cells {
            let place = format!("R {} ms, q {}", cell.deadline_ms, cell.ratio);
            for wrong in &cell.else_wrong {
                say!("{place}: {wrong}");
                exit = Exit::Violation;
            }
            if cell.is_promised() && cell.two_leaders > 0 {
                say!("{place}: two leaders within what is promised");
                exit = Exit::Violation;
            }
        }
        if !cells.iter().any(|cell| cell.two_leaders > 0) {
            say!("no cell broke: the grid does not reach beyond what is promised");
            exit = Exit::Unknown;
        }
        Ok(exit)
    }
}

fn shown(cell: &Cell) -> String {
    if cell.else_wrong.is_empty() { cell.two_leaders.to_string() } else { "!".to_owned() }
}

/// The grid as an SVG.
fn picture(cells: &[Cell]) -> String {
    let (width, height, left, top) = (68, 44, 90, 70);
    let columns = u32::try_from(RATIOS.len()).unwrap_or(0);
    let rows = u32::try_from(DEADLINES_MS.len()).unwrap_or(0);
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
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">R {} s</text>\n",
                left - 10,
                y + height / 2 + 3,
                cell.deadline_ms / 1_000
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
