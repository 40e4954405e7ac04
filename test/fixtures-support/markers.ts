import type { Markers } from '#src/program/template.js';

/** What stood for the device, and for the link up0, in fixtures/policy/first.hex. */
export const firstMarkers: Markers = {
  name: 'qwertzuiopasdfg',
  index: 0x12345678,
  links: [{ name: 'up0', index: 0x23456789 }],
};

/** The same for fixtures/policy/second.hex. */
export const secondMarkers: Markers = {
  name: 'yxcvbnmlkjhgfds',
  index: 0x3456789a,
  links: [{ name: 'up0', index: 0x456789ab }],
};
