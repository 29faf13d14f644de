// A page whose content is in its HTML file.
import { drawShell } from "../components/shell.js";

drawShell("");
