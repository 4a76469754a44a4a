'use strict';
for (const place of document.querySelectorAll('.chart')) {
  const figure = JSON.parse(place.querySelector('script').textContent);
  Plotly.newPlot(place.querySelector('.plot'), figure.data, figure.layout, {displayModeBar: false, responsive: true});
}
const plots = () => document.querySelectorAll('.plot');
const paper = 620;  // pixels between the margins of a sheet
addEventListener('beforeprint', () => plots().forEach((plot) => {
  const width = plot.closest('.chart').classList.contains('wide') ? paper : paper / 2 - 24;
  Plotly.relayout(plot, {width, autosize: false});
}));
addEventListener('afterprint', () => plots().forEach((plot) => Plotly.relayout(plot, {width: null, autosize: true})));
