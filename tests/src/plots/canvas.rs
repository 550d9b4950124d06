//! SVG of texts, lines and bars, in the colours of light and dark pages.

use std::fmt::Write as _;

use super::Value;

/// Width of a picture.
pub(super) const WIDTH: f64 = 900.0;
/// Left of everything, and right of it.
pub(super) const MARGIN: f64 = 20.0;
/// From one line of text to the next.
const LINE: f64 = 13.0;

/// A number beside its point.
pub(super) struct Label<'a> {
    /// Where its base line is, if nothing else is there.
    pub(super) at: f64,
    pub(super) value: &'a Value,
}

/// A picture that grows downwards.
pub(super) struct Canvas {
    title: String,
    body: String,
    bottom: f64,
}

/// Colours: of the page, of text, of lines, and of the phones in the order of the columns. A phone
/// is known by its dashes, too.
const STYLE: &str = "\
    text{fill:#222;paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}\
    .bg{fill:#fff}.h{font-weight:bold;font-size:13px}.t{fill:#555}.e{text-anchor:end}\
    .m{text-anchor:middle}.grid{stroke:#ddd}.p{fill:none;stroke-width:2}\
    .s0{stroke:#0b62a8}.f0{fill:#0b62a8}.s1{stroke:#b3471d;stroke-dasharray:7 4}.f1{fill:#b3471d}\
    .s2{stroke:#4b7a1e;stroke-dasharray:2 3}.f2{fill:#4b7a1e}\
    .s3{stroke:#7b3f9d;stroke-dasharray:9 3 2 3}.f3{fill:#7b3f9d}\
    @media (prefers-color-scheme:dark){text{fill:#ddd;stroke:#111}.bg{fill:#111}.t{fill:#aaa}\
    .grid{stroke:#333}.s0{stroke:#6db5f2}.f0{fill:#6db5f2}.s1{stroke:#f2956b}.f1{fill:#f2956b}\
    .s2{stroke:#9ccb6a}.f2{fill:#9ccb6a}.s3{stroke:#c79be6}.f3{fill:#c79be6}}";

impl Canvas {
    /// A picture with its title, and below it which line is whose.
    pub(super) fn new(title: &str, phones: &[String]) -> Self {
        let mut canvas = Self {
            title: title.to_owned(),
            body: String::new(),
            bottom: 70.0,
        };
        canvas.text(MARGIN, 24.0, "h", title);
        for (n, phone) in phones.iter().enumerate() {
            let left = MARGIN + n as f64 * 130.0;
            canvas.curve(n, &[(left, 46.0), (left + 36.0, 46.0)]);
            canvas.text(left + 44.0, 50.0, "", phone);
        }
        canvas
    }

    /// Room for a part of this height under a heading; where it begins.
    pub(super) fn section(&mut self, title: &str, height: f64) -> f64 {
        let top = self.bottom + 20.0;
        if !title.is_empty() {
            self.text(MARGIN, top, "h", title);
        }
        self.bottom = top + height;
        top
    }

    /// Text with classes of [`STYLE`].
    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.0}\" y=\"{y:.0}\" class=\"{class}\">{text}</text>"
        );
    }

    /// A straight line.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let _ = writeln!(
            self.body,
            "<path d=\"M{:.0} {:.1}L{:.0} {:.1}\" class=\"{class}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    /// A line through points, each with a dot.
    pub(super) fn curve(&mut self, phone: usize, points: &[(f64, f64)]) {
        let line: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.0},{y:.1}"))
            .collect();
        let line = line.join(" ");
        let _ = writeln!(
            self.body,
            "<polyline points=\"{line}\" class=\"p s{phone}\"/>"
        );
        for (x, y) in points {
            let _ = writeln!(
                self.body,
                "<circle cx=\"{x:.0}\" cy=\"{y:.1}\" r=\"3\" class=\"f{phone}\"/>"
            );
        }
    }

    /// Numbers beside the points above each other, apart from each other and within the panel.
    pub(super) fn labels(&mut self, x: f64, panel: (f64, f64), mut labels: Vec<Label<'_>>) {
        labels.sort_by(|a, b| a.at.total_cmp(&b.at));
        let mut free = panel.0;
        for label in &mut labels {
            label.at = label.at.max(free);
            free = label.at + LINE;
        }
        let mut free = panel.1;
        for label in labels.iter_mut().rev() {
            label.at = label.at.min(free);
            free = label.at - LINE;
        }
        for label in labels {
            let class = format!("v f{}", label.value.phone);
            self.text(x, label.at, &class, &label.value.text);
        }
    }

    /// A bar to the right, its number behind it.
    pub(super) fn bar(&mut self, at: (f64, f64), (length, height): (f64, f64), value: &Value) {
        let phone = value.phone;
        let _ = writeln!(
            self.body,
            "<rect x=\"{:.0}\" y=\"{:.0}\" width=\"{length:.1}\" height=\"{height:.0}\" \
             class=\"f{phone}\"/>",
            at.0, at.1
        );
        let class = format!("v f{phone}");
        let end = at.0 + length + 5.0;
        self.text(end, at.1 + height - 1.0, &class, &value.text);
    }

    /// The picture.
    pub(super) fn finish(self) -> String {
        let (title, body, height) = (self.title, self.body, self.bottom);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"11\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect width=\"{WIDTH}\" height=\"{height:.0}\" class=\"bg\"/>\n{body}</svg>\n"
        )
    }
}
