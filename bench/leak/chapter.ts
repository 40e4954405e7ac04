import type { Benchmark, Chapter, Target } from '../chapter.js';
import { missingCompiler } from '../programs.js';
import { type Leak, type LeakResult, runLeak } from './benchmark.js';
import { CONTENDERS } from './contender.js';

const CREATIONS = 200;
const QUICK_CREATIONS = 12;
const LIFETIME_MS = 25;

function method(lifetime: number): string[] {
  return [
    `A C program floods a guest’s macvtap from both sides: as the guest, into the tap, from the moment that it can be opened, and as the world, from the far end of the cable, to the guest’s MAC. Every frame is one that the filter drops (to or from 192.168.0.0/16). Meanwhile devices are made and set up at once, one after the other, each for ${lifetime} ms, and removed; eight names take turns. A frame that comes to the other end has leaked.`,
    'All contenders have the same rules, those of examples/filtermacvtap.nft, which the script uses as it is: it listens to ip monitor and runs nft for each new device. “Nothing” says how many can leak. Frames from the guest count from the first that the tap took, frames to the guest from the moment the device is up (macvtap counts those before anything filters).',
    'How many leak where the door isn’t closed in advance depends on the machine and on what else it does; none may where it is.',
  ];
}

function share({ sent, leaked }: Leak): string {
  return sent === 0 ? '-' : `${((100 * leaked) / sent).toFixed(1)} %`;
}

function row({ title, creations, leakyDevices, egress, ingress }: LeakResult): string[] {
  const figures = [egress, ingress].flatMap((leak) => [
    leak.sent.toLocaleString('en'),
    leak.leaked.toLocaleString('en'),
    share(leak),
  ]);
  return [title, `${leakyDevices} of ${creations}`, ...figures];
}

function targetOf({ title, egress, ingress }: LeakResult): Target {
  const leaked = egress.leaked + ingress.leaked;
  const sent = egress.sent + ingress.sent;
  const measured = `${leaked} of ${sent.toLocaleString('en')}`;
  return { expected: `${title}: no frame leaks`, measured, met: leaked === 0 };
}

const HEAD = [
  '',
  'devices that leaked',
  'from the guest, sent',
  'leaked',
  '',
  'to the guest, sent',
  'leaked',
  '',
];

export function leakChapter(results: readonly LeakResult[], creations: number): Chapter {
  return {
    name: 'leak',
    title: 'What leaks past a new device',
    method: method(LIFETIME_MS),
    sections: [
      {
        heading: `${creations} devices, one after the other`,
        table: { head: HEAD, rows: results.map(row) },
        notes: [],
      },
    ],
    charts: [
      {
        title: 'Frames that leaked past a new device, of 100 that were sent',
        kind: 'bars',
        x: { title: '', scale: 'words' },
        y: { title: 'per cent', scale: 'linear' },
        labels: results.map(({ title }) => title),
        series: (['egress', 'ingress'] as const).map((direction) => ({
          name: direction === 'egress' ? 'from the guest' : 'to the guest',
          points: results.map((result, at): [number, number] => {
            const { sent, leaked } = result[direction];
            return [at, sent === 0 ? 0 : (100 * leaked) / sent];
          }),
        })),
      },
    ],
    targets: results.filter(({ closed }) => closed).map(targetOf),
    behind: results.flatMap(({ title, contender, closed, egress, ingress }) =>
      closed || !['device', 'chain'].includes(contender)
        ? []
        : [
            `${title}: ${(egress.leaked + ingress.leaked).toLocaleString('en')} of ${(egress.sent + ingress.sent).toLocaleString('en')} frames leaked past new devices`,
          ],
    ),
    figures: { unit: 'frames', creations, lifetime: LIFETIME_MS, results },
  };
}

export const leak: Benchmark = {
  name: 'leak',
  title: 'what leaks past a new device under a flood',
  seconds: ({ quick }) => (quick ? 8 : 60),
  missing: ({ nft }) =>
    nft === undefined ? 'nft is not installed, and the script needs it' : missingCompiler(['leak/flooder']),
  run: async ({ quick, folder, placements }) => {
    const creations = quick ? QUICK_CREATIONS : CREATIONS;
    const wanted: readonly string[] = [...placements, 'script', 'none'];
    const contenders = CONTENDERS.filter(({ name }) => wanted.includes(name));
    return leakChapter(await runLeak(contenders, { creations, lifetime: LIFETIME_MS, folder }), creations);
  },
};
