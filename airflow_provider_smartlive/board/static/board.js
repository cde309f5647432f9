// What Airflow's UI imports: the page "Livestreams" of its navigation, and the tab "Livestream" of a task instance.
//
// It takes the components from the global scope, by the names in the plugin's declaration. It shares React and its
// router; nothing else is loaded from anywhere.

import { Livestreams } from "./page.js";
import { LivestreamTab } from "./tab.js";

Object.assign(globalThis, { Livestreams, Livestream: LivestreamTab });

export default Livestreams;
