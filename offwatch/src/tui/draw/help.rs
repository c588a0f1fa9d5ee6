//! The help, and the choice of an order.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Widget as _,
};

use crate::{
    rank::{Key, Order},
    tui::{keys::MENU_KEYS, theme::Theme},
};

const HELP: &str = "\
offwatch top: keys (RX and TX of a VM are from the guest's side)

VIEWS                                   ORDER
 0   VMs                                 P   by %CPU
 1   physical CPUs, or VMs again         M   by %MEM
 2   network cards, or VMs again         T   by CPU time
 3   disks, or VMs again                 N   by id
 4   offloads, or VMs again              F   choose it from a menu
                                         r   reverse it
MOVING
 up down j k  PgUp PgDn Home End         Enter  page of the selected VM
 left right   more columns               Esc    back; ends search, selection

DOING
 /   search: part of the name of a VM, interface or bridge, or a glob
 B   disks: bytes or requests            u   network: bits or bytes
 s d set the interval                    p   pause: the screen holds
 W   write ~/.virt-toprc                 o   what offwatch itself costs
 space ^L  sample and draw again         h ? help   q quit

RECORDINGS (--replay FILE)
 p   play or hold                        [ ] half or twice the speed
 . , one sample forwards or backwards    J   jump to a time

COLUMNS OF THE OFFLOAD VIEW
 RXgso% TXgso%    share of the bytes that came in GSO frames
 SWSEG/s          segments the host cut in software on the way to the interface
 SWCSUM/s         bytes it checksummed in software on the way to the interface
 DROP/s           frames dropped, in both directions
 CORE%            share of a CPU that both took, as timed where they are done
 RXpk/s TXpk/s    frames; a GSO frame is one
 CAUSES/s         segments cut, on the way to anywhere, for frames from here
 RXseg50 RXseg99  median and 99th percentile of the segment size of GSO frames
 RXseg TXseg      mean bytes of a segment, headers included
 OFFLOADS         groups of ethtool -K that are on; !: wanted, but off
 ~                at least
 !                offwatch advise has a finding: Enter shows it. The command
                  itself sees more: it also looks at how the host is set up
 -                no value: the last line tells why for the selected row";

/// How many lines the help has.
pub(super) fn lines() -> usize {
    HELP.lines().count()
}

pub(super) fn draw(scroll: usize, theme: Theme, area: Rect, buffer: &mut Buffer) {
    for (text, row) in HELP.lines().skip(scroll).zip(area.rows()) {
        let style = if text.starts_with(' ') {
            Style::new()
        } else {
            theme.heading()
        };
        Line::styled(text, style).render(row, buffer);
    }
}

pub(super) fn draw_menu(
    cursor: usize,
    order: Order,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let mut rows = area.rows();
    let mut put = |line: Line<'_>| {
        if let Some(row) = rows.next() {
            line.render(row, buffer);
        }
    };
    put(Line::styled(
        "Set sort order for main display",
        theme.title(),
    ));
    put(Line::from("Type key or use up and down cursor keys."));
    put(Line::default());
    put(Line::default());
    put(Line::styled("KEY   Sort field", theme.heading()));
    for (number, (key, typed)) in Key::ALL.into_iter().zip(MENU_KEYS.chars()).enumerate() {
        let current = if key == order.key { '*' } else { ' ' };
        let shortcut = shortcut(key).map_or_else(String::new, |key| format!(" (key: {key})"));
        let text = format!("  {typed} {current} {}{shortcut}", key.label());
        let style = match number == cursor {
            true => theme.selected(),
            false => Style::new(),
        };
        put(Line::from(Span::styled(text, style)));
    }
}

/// The key that chooses an order without the menu.
fn shortcut(key: Key) -> Option<char> {
    match key {
        Key::Id => Some('N'),
        Key::Cpu => Some('P'),
        Key::Memory => Some('M'),
        Key::Time => Some('T'),
        _ => None,
    }
}
