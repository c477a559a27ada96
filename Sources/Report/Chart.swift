import Foundation

/// A line chart as inline SVG, in colours that are classes of the page's style sheet.
package struct Chart: Sendable {
  package struct Point: Sendable, Equatable {
    package var x: Double
    package var y: Double

    package init(_ x: Double, _ y: Double) {
      self.x = x
      self.y = y
    }
  }

  package struct Series: Sendable {
    /// For the legend.
    package var name: String
    /// Class of its colour and dashes.
    package var colour: String
    package var points: [Point]
    /// What its points have; nil for none.
    package var marker: Marker?
    /// How many points have one, evenly chosen.
    package var mostMarkers: Int
    /// Whether a noisy line is drawn as its moving average alone; otherwise that is drawn over it.
    package var isSmooth: Bool

    package init(
      _ name: String, colour: String, points: [Point], marker: Marker? = nil,
      mostMarkers: Int = .max, isSmooth: Bool = false
    ) {
      self.name = name
      self.colour = colour
      self.points = points.filter { $0.x.isFinite && $0.y.isFinite }
      self.marker = marker
      self.mostMarkers = mostMarkers
      self.isSmooth = isSmooth
    }
  }

  /// An event, drawn as a vertical line.
  package struct Event: Sendable {
    package var x: Double
    package var text: String

    package init(x: Double, text: String) {
      self.x = x
      self.text = text
    }
  }

  package var title: String
  package var horizontal: String
  package var vertical: String
  package var scale: Axis.Scale
  package var fromZero: Bool
  package var series: [Series]
  package var events: [Event]
  /// Whether the series are named beside the title; the page may have done so for all charts.
  package var hasLegend: Bool

  package init(
    _ title: String, horizontal: String, vertical: String, scale: Axis.Scale = .linear,
    fromZero: Bool = false, series: [Series], events: [Event] = [], hasLegend: Bool = true
  ) {
    self.title = title
    self.horizontal = horizontal
    self.vertical = vertical
    self.scale = scale
    self.fromZero = fromZero
    self.series = series.filter { !$0.points.isEmpty }
    self.events = events
    self.hasLegend = hasLegend
  }

  private static let size = (width: 560.0, height: 300.0)
  private static let plot = (left: 74.0, right: 536.0, top: 12.0, bottom: 252.0)
  /// Most points of a line; more could not be told apart.
  private static let mostPoints = 800

  /// The whole figure with its title and legend; empty if there is no point.
  package var html: String {
    let points = series.flatMap(\.points)
    guard !points.isEmpty else { return "" }
    let x = Axis(horizontal, points.map(\.x), fromZero: true)
    let y = Axis(vertical, points.map(\.y), scale: scale, fromZero: fromZero)
    let drawing = Drawing(x: x, y: y)
    let size = Self.size
    var svg = [
      "<svg viewBox=\"0 0 \(Int(size.width)) \(Int(size.height))\" role=\"img\" "
        + "aria-label=\"\(HTML.escaped(title))\">"
    ]
    svg += drawing.grid
    svg += events.map(drawing.line)
    for series in series { svg += drawing.curves(of: series, most: Self.mostPoints) }
    svg.append("</svg>")
    let legend = series.count > 1 || !events.isEmpty ? self.legend : ""
    return "<figure><figcaption><b>\(HTML.escaped(title))</b>\(legend)</figcaption>\n"
      + svg.joined(separator: "\n") + "\n</figure>"
  }

  private var legend: String {
    guard hasLegend else { return "" }
    let names = series.map { "<span class=\"key \($0.colour)\">\(HTML.escaped($0.name))</span>" }
    let incident = events.isEmpty ? "" : "<span class=\"key incident\">incident</span>"
    return "<span class=\"legend\">" + names.joined() + incident + "</span>"
  }

  /// Draws values at their coordinates.
  private struct Drawing {
    let x: Axis
    let y: Axis

    private var plot: (left: Double, right: Double, top: Double, bottom: Double) { Chart.plot }

    func horizontal(_ value: Double) -> String {
      number(plot.left + x.position(value) * (plot.right - plot.left))
    }

    func vertical(_ value: Double) -> String {
      number(plot.bottom - y.position(value) * (plot.bottom - plot.top))
    }

    var grid: [String] {
      var lines: [String] = []
      for tick in y.ticks {
        let place = vertical(tick)
        lines.append(
          "<line class=\"grid\" x1=\"\(number(plot.left))\" x2=\"\(number(plot.right))\" "
            + "y1=\"\(place)\" y2=\"\(place)\"/>")
        lines.append(
          "<text x=\"\(number(plot.left - 7))\" y=\"\(place)\" dy=\"0.32em\" "
            + "text-anchor=\"end\">\(y.spelled(tick))</text>")
      }
      for tick in x.ticks {
        let place = horizontal(tick)
        lines.append(
          "<line class=\"tick\" x1=\"\(place)\" x2=\"\(place)\" y1=\"\(number(plot.bottom))\" "
            + "y2=\"\(number(plot.bottom + 4))\"/>")
        lines.append(
          "<text x=\"\(place)\" y=\"\(number(plot.bottom + 17))\" text-anchor=\"middle\">"
            + "\(x.spelled(tick))</text>")
      }
      lines.append(
        "<line class=\"tick\" x1=\"\(number(plot.left))\" x2=\"\(number(plot.right))\" "
          + "y1=\"\(number(plot.bottom))\" y2=\"\(number(plot.bottom))\"/>")
      let middle = (plot.left + plot.right) / 2
      lines.append(
        "<text class=\"label\" x=\"\(number(middle))\" y=\"\(number(plot.bottom + 37))\" "
          + "text-anchor=\"middle\">\(HTML.escaped(x.label))</text>")
      let centre = (plot.top + plot.bottom) / 2
      lines.append(
        "<text class=\"label\" transform=\"translate(12 \(number(centre))) rotate(-90)\" "
          + "text-anchor=\"middle\">\(HTML.escaped(y.label))</text>")
      return lines
    }

    func line(_ event: Event) -> String {
      let place = horizontal(min(max(event.x, x.low), x.high))
      return "<line class=\"incident\" x1=\"\(place)\" x2=\"\(place)\" y1=\"\(number(plot.top))\" "
        + "y2=\"\(number(plot.bottom))\"><title>\(HTML.escaped(event.text))</title></line>"
    }

    func curves(of series: Series, most: Int) -> [String] {
      let points = Chart.thinned(series.points, to: most)
      var result: [String] = []
      let smooth = Chart.smoothed(points)
      // A noisy line is drawn faintly behind its moving average.
      let isNoisy = (series.marker == nil || series.isSmooth) && points.count > 60
      if points.count > 1 {
        if !isNoisy { result.append(polyline(points, series.colour)) }
        if isNoisy, !series.isSmooth { result.append(polyline(points, "\(series.colour) faint")) }
        if isNoisy { result.append(polyline(smooth, series.colour)) }
      }
      if series.marker != nil || points.count == 1 {
        let marker = series.marker ?? .circle
        let drawn = isNoisy && series.isSmooth ? smooth : points
        result += Chart.thinned(drawn, to: series.mostMarkers).map { point in
          marker.svg(
            x: horizontal(point.x), y: vertical(point.y), colour: series.colour,
            title: "\(series.name): \(String(format: "%.5g", point.y)) at "
              + String(format: "%.5g", point.x))
        }
      }
      return result
    }

    private func polyline(_ points: [Point], _ style: String) -> String {
      let places = points.map { "\(horizontal($0.x)),\(vertical($0.y))" }.joined(separator: " ")
      return "<polyline class=\"\(style)\" points=\"\(places)\"/>"
    }

    private func number(_ value: Double) -> String {
      let text = String(format: "%.1f", value)
      return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
  }

  /// At most `most` points, evenly chosen, with the first and the last.
  package static func thinned(_ points: [Point], to most: Int) -> [Point] {
    guard points.count > most, most > 1 else { return points }
    return (0..<most).map { points[$0 * (points.count - 1) / (most - 1)] }
  }

  /// The moving average over a fortieth of the points; over fewer at the ends.
  package static func smoothed(_ points: [Point]) -> [Point] {
    let reach = max(1, points.count / 80)
    return points.indices.map { index in
      let wide = min(reach, index, points.count - 1 - index)
      let near = points[(index - wide)...(index + wide)]
      return Point(points[index].x, near.reduce(0) { $0 + $1.y } / Double(near.count))
    }
  }
}
